"""Scores a table from a file to a file, in parts: resumable, with memory that does not grow with the table."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

from models_onnx.errors import PanelRefused
from models_onnx.panel.declaration import TableDeclaration, TablePlan, names_read
from models_onnx.panel.frames import NOTHING_DECLARED, PanelModel
from models_onnx.panel.ids import RowNames, refuse_unnamed
from models_onnx.panel.outputs import (
    OutputForm,
    ResumableOutput,
    csv_header,
    csv_lines,
    output_form,
    risk_assessments,
    signature_of,
    sql_types,
)
from models_onnx.panel.processes import results_in_order
from models_onnx.panel.tables import Form, Part, TableReader, open_table
from models_onnx.panel.values import other_units

Done: TypeAlias = tuple[bytes, int, Counter[str]]
"""Lines of scores, how many rows they are of, and what is counted of them."""


@dataclass(frozen=True, slots=True)
class ScoringJob:
    """What is scored, how its table is read, and what is written where. `moment` is the time of a RiskAssessment."""

    model: PanelModel
    rows: Path
    out: Path
    id_column: str | None = None
    declared: TableDeclaration = NOTHING_DECLARED
    explain: bool = False
    form: Form | None = None
    restart: bool = False
    moment: str = ""
    workers: int = 1

    @property
    def explained(self) -> tuple[str, ...]:
        """The columns that explain a score, where they are asked for."""
        return ("base", *self.model.explained) if self.explain else ()


@dataclass(frozen=True, slots=True)
class ScoringResult:
    """How many rows were read, before which of them this run began, how many each model scored, and why not."""

    rows: int
    resumed_at: int
    scored: dict[str, int]
    not_scored: dict[str, int]
    not_used: int
    unsaid: tuple[str, ...]
    repeated: int = 0
    """How many rows have an id that a row before has too; each row is scored by itself."""
    unnamed: int = 0
    """How many rows have no id."""
    untold_units: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns without a declared unit, most of whose first values could be in these other units too, by their size."""


def score_table(job: ScoringJob, progress: Callable[[int], None] = lambda _: None) -> ScoringResult:
    """Writes one line per row, in order; PanelRefused where the table or its declaration cannot be used."""
    form = output_form(job.out)
    if job.out.exists() and str(job.rows) != "-" and job.out.samefile(job.rows):
        raise PanelRefused(f"{job.out} is the table itself; write the scores to another file.")
    with open_table(job.rows, job.form) as table:
        return _score(job, form, table, progress)


def _score(job: ScoringJob, form: OutputForm, table: TableReader, progress: Callable[[int], None]) -> ScoringResult:
    identity = _id_column(job, table)
    plan = job.model.plan(table.columns, job.declared)
    out = ResumableOutput(job.out, _signature(job, identity), restart=job.restart or str(job.rows) == "-")
    resumed_at = out.rows
    if form != "fhir" and not out.rows:
        out.begin(csv_header(job.explained))
    names, untold = RowNames(), dict[str, tuple[str, ...]]()
    would_matter = names_read(job.model.model.manifest, job.declared)

    def fresh_parts() -> Iterator[Part]:
        for whole in table.parts(tuple(dict.fromkeys((identity, *plan.columns))), would_matter):
            if names.rows == 0:
                untold.update(_untold_units(plan, whole))
            names.take(whole[identity])  # those of the rows that were written before the interruption, too
            fresh = names.rows - resumed_at
            if fresh <= 0:
                continue
            part = {name: values[-fresh:] for name, values in whole.items()}
            if form == "fhir":
                refuse_unnamed(part[identity], names.rows - len(part[identity]) + 1)
            yield part

    for content, rows, tally in _scored(_Scorer(job, plan, form, identity), fresh_parts()):
        out.tally.update(Counter(out.tally) + tally)
        out.add(content, rows)
        progress(out.rows)
    out.finish(sql_types(job.explained) if form == "parquet" else "")
    return _result(out, resumed_at, plan, names, untold)


@dataclass(frozen=True, slots=True)
class _Scorer:
    """Scores parts of a table, in this process or in another one."""

    job: ScoringJob
    plan: TablePlan
    form: OutputForm
    identity: str

    def __call__(self, part: Part) -> Done:
        """Return the lines of a part, how many rows it has, and what is counted of them."""
        answers = self.job.model.answers(self.plan, {name: part[name] for name in self.plan.columns})
        ids = part[self.identity]
        return _content(self.job, self.form, ids, answers), len(ids), _tally(answers)


_IN_PROCESS: list[_Scorer] = []


def _begin(scorer: _Scorer) -> None:
    _IN_PROCESS[:] = [scorer]


def _score_part(part: Part) -> Done:
    return _IN_PROCESS[0](part)


def _scored(scorer: _Scorer, parts: Iterator[Part]) -> Iterator[Done]:
    workers = scorer.job.workers
    if workers == 1:
        yield from map(scorer, parts)
        return
    # spawn: onnxruntime's threads do not live through a fork
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (scorer,)) as pool:
        yield from results_in_order(pool, _score_part, parts, 2 * workers)


def _untold_units(plan: TablePlan, part: Part) -> dict[str, tuple[str, ...]]:
    """Of the columns without a declared unit, those that could be in another one by most of these values."""
    untold_units = {
        item.column: tuple(other_units(item, part[item.column])) for item in plan.inputs if item.column is not None
    }
    return {column: units for column, units in untold_units.items() if units}


def _content(job: ScoringJob, form: str, ids: list[Any], answers: dict[str, Any]) -> bytes:
    if form != "fhir":
        return csv_lines(ids, answers, job.explained)
    return risk_assessments(ids, answers, job.model.manifests, job.moment)


def _id_column(job: ScoringJob, table: TableReader) -> str:
    wanted = job.id_column or "id"
    if wanted in table.columns:
        return wanted
    if any(_is_value(column) for column in table.columns):
        raise PanelRefused(
            f"{job.rows} has no column {wanted!r}, and its first line seems to hold values: it has to hold the "
            "names of the columns."
        )
    sentence = f"has no column {wanted!r}" if job.id_column else "has no column 'id', and no other one is named"
    raise PanelRefused(
        f"{job.rows} {sentence}: say by --id which column names a row. It has: {', '.join(table.columns)}."
    )


def _is_value(column: str) -> bool:
    """Whether a header has a number where a name should be: then the first person may stand in it, who is not shown."""
    try:
        float(column)
    except ValueError:
        return False
    return True


def _signature(job: ScoringJob, identity: str) -> str:
    where = job.rows.stat() if str(job.rows) != "-" else None
    file = (where.st_size, where.st_mtime_ns) if where is not None else ()
    files = [manifest.file.sha256 for manifest in job.model.manifests.values()]
    return signature_of(files, str(job.rows), file, identity, asdict(job.declared), job.explain, job.out.suffix)


def _tally(answers: dict[str, Any]) -> Counter[str]:
    counted = Counter({"not used": int((answers["not_used"] != "").sum())})
    for kind in ("model", "reason"):
        counted.update(f"{kind} {name}" for name in answers[kind].tolist() if name)
    return counted


def _result(
    out: ResumableOutput, resumed_at: int, plan: TablePlan, names: RowNames, untold: dict[str, tuple[str, ...]]
) -> ScoringResult:
    return ScoringResult(
        rows=out.rows,
        resumed_at=resumed_at,
        scored=dict(_of(out.tally, "model ")),
        not_scored=dict(_of(out.tally, "reason ")),
        not_used=out.tally.get("not used", 0),
        unsaid=plan.unsaid,
        repeated=names.repeated,
        unnamed=names.unnamed,
        untold_units=untold,
    )


def _of(tally: dict[str, int], kind: str) -> Iterator[tuple[str, int]]:
    return ((name.removeprefix(kind), count) for name, count in sorted(tally.items()) if name.startswith(kind))
