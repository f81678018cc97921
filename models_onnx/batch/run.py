"""Scores a table from a file to a file, batch by batch, in one process or several.

The output is CSV or Parquet: complete under its name, or absent.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from models_onnx.artifact.files import whole_file
from models_onnx.batch.model import PLAIN_COLUMNS, BatchModel
from models_onnx.batch.plan import TablePlan, plan_of
from models_onnx.batch.tables import open_table
from models_onnx.errors import BatchRefused


def output_form(path: Path) -> str:
    """Return the form of an output by the end of its name; BatchRefused for another one, or without its folder."""
    form = path.suffix.lower()
    if form not in (".csv", ".parquet"):
        raise BatchRefused(f"{path.name}: write to a name that ends in .csv or .parquet.")
    if not path.parent.is_dir():
        raise BatchRefused(f"The folder {path.parent} for the output is not there: make it first.")
    return form


@contextmanager
def output_file(path: Path) -> Iterator[Callable[[Any], None]]:
    """Yield what writes Arrow tables of the same columns to a file, which takes its place once all are written."""
    form, writers = output_form(path), list[Any]()
    with whole_file(path) as draft, draft.open("wb") as file, ExitStack() as stack:

        def write(table: Any) -> None:
            if not writers:
                writers.append(stack.enter_context(_writer(file, form, table.schema)))
            writers[0].write_table(table)

        yield write


def _writer(file: Any, form: str, schema: Any) -> Any:
    if form == ".parquet":
        import pyarrow.parquet

        return pyarrow.parquet.ParquetWriter(file, schema)
    import pyarrow.csv

    file.write((",".join(schema.names) + "\n").encode())
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
    return pyarrow.csv.CSVWriter(file, schema, write_options=options)


_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class ScoringJob:
    """What is scored, how its table is read, and what is written where.

    `view` is a SELECT from `rows` that says what the columns mean (tables.py); `exclude` names columns whose yes leaves
    a person out.
    """

    model: BatchModel
    rows: Path
    out: Path
    id_column: str = "id"
    view: str = ""
    exclude: tuple[str, ...] = ()
    explain: bool = False
    workers: int = 1


@dataclass(slots=True)
class ScoringResult:
    """How many rows there are, how many each model scored, and why the others were not."""

    rows: int = 0
    scored: Counter[str] = field(default_factory=Counter)
    not_scored: Counter[str] = field(default_factory=Counter)
    not_used: int = 0
    unsaid: tuple[str, ...] = ()

    def count(self, answers: Any) -> None:
        """Count the answers of a batch."""
        self.rows += answers.num_rows
        self.not_used += sum(map(bool, answers.column("not_used").to_pylist()))
        self.scored.update(filter(None, answers.column("model").to_pylist()))
        self.not_scored.update(filter(None, answers.column("reason").to_pylist()))


def score_table(job: ScoringJob, progress: Callable[[int], None] = lambda _: None) -> ScoringResult:
    """Write one line per row, in order; BatchRefused where the table or its view cannot be used."""
    if job.out.exists() and job.out.samefile(job.rows):
        raise BatchRefused(f"{job.out} is the table itself; write the scores to another file.")
    manifest, features = job.model.model.manifest, job.model.features
    with output_file(job.out) as write, open_table(job.rows, job.view, features) as table:
        plan = plan_of(manifest, table.columns, job.exclude, job.id_column)
        result = ScoringResult(unsaid=plan.unsaid)
        scorer, batches = _Scorer(job.model, plan, job.explain), table.batches(plan.columns)
        for answers in each_scored(scorer, batches, job.workers):
            result.count(answers)
            write(answers)
            progress(result.rows)
        if not result.rows:
            raise BatchRefused(f"{table.name} has no rows.")
    return result


@dataclass(frozen=True, slots=True)
class _Scorer:
    """Scores batches of a table, in this process or in another one."""

    model: BatchModel
    plan: TablePlan
    explain: bool

    def __call__(self, rows: Any) -> Any:
        """Return the answers with the ids of their rows."""
        answers = self.model.scored(self.plan, rows)
        return answers if self.explain else answers.select(["id", *PLAIN_COLUMNS])


_scorer_of_process: list[Any] = []


def _begin(scorer: Any) -> None:
    _scorer_of_process[:] = [scorer]


def _score(batch: Any) -> Any:
    return _scorer_of_process[0](batch)


def each_scored(scorer: Callable[[_T], _R], batches: Iterator[_T], workers: int) -> Iterator[_R]:
    """Yield what the scorer gives of each batch, in their order; at most two batches a process are under way.

    Raises:
        BatchRefused: a process ended before its batch was done.
    """
    if workers == 1:
        yield from map(scorer, batches)
        return
    waiting: list[Future[_R]] = []
    # spawn: onnxruntime's threads do not live through a fork
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (scorer,)) as pool:
        try:
            for batch in batches:
                waiting.append(pool.submit(_score, batch))
                if len(waiting) >= 2 * workers:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        except BrokenProcessPool as error:
            raise BatchRefused(
                "A process ended before its part was scored, most often because the memory was full: take fewer "
                "--workers."
            ) from error
        finally:
            for future in waiting:
                future.cancel()
