"""Scores a table from a file to a file, batch by batch, in one process or several.

The output is CSV or Parquet: complete under its name, or absent.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self, TypeVar

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


class OutputFile:
    """A file of scores that is written table by table beside its place, and put there when all is written."""

    def __init__(self, path: Path) -> None:
        self._path, self._form = path, output_form(path)
        self._part = path.with_name(f"{path.name}.part")
        self._writer: Any = None

    def __enter__(self) -> Self:
        self._file = self._part.open("wb")
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
        self._file.close()
        if failed is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def add(self, table: Any) -> None:
        """Write the rows of an Arrow table; all that are added have the same columns."""
        if self._writer is None:
            self._writer = self._new_writer(table.schema)
        self._writer.write_table(table)

    def _new_writer(self, schema: Any) -> Any:
        if self._form == ".parquet":
            import pyarrow.parquet

            return pyarrow.parquet.ParquetWriter(self._file, schema)
        import pyarrow.csv

        self._file.write((",".join(schema.names) + "\n").encode())
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
        return pyarrow.csv.CSVWriter(self._file, schema, write_options=options)


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
    with OutputFile(job.out) as out, open_table(job.rows, job.view, features) as table:
        plan = plan_of(manifest, table.columns, job.exclude, job.id_column)
        result = ScoringResult(unsaid=plan.unsaid)
        scorer, batches = _Scorer(job.model, plan, job.explain), table.batches(plan.columns)
        for answers in each_scored(scorer, batches, job.workers):
            result.count(answers)
            out.add(answers)
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
