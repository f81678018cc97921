"""Scores a folder of FHIR: in batches of patients, in several processes where that is asked, and resumable."""

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, TypeAlias

import orjson

from cds_hooks.panel.chart_lines import ChartLines, GroupingTally, Wanted
from cds_hooks.panel.grouping import charts_of
from cds_hooks.panel.questions import questions_about
from cds_hooks.panel.scoring import AsItStood, PanelQuestions, Score, feature_rows, read_chart, score_records
from cds_hooks.settings import Settings
from models_onnx.errors import PanelRefused
from models_onnx.panel.outputs import ResumableOutput, risk_assessment, signature_of, write_fields

PATIENTS_AT_ONCE = 200
Content: TypeAlias = Literal["scores", "features"]
# The order of the patients in the output: a run that was begun in another order cannot go on in this one.
_ORDER = "by hash, 256 files at most"
_COLUMNS = tuple(each.name for each in fields(Score))


@dataclass(frozen=True, slots=True)
class FhirJob:
    """A folder to score. `names` are models and equations, all that may be used where it is empty.

    `as_it_stood` takes out what was written into a chart after `as_of`; None where that is now.
    """

    folder: Path
    as_of: datetime
    out: Path
    settings: Settings
    names: tuple[str, ...] = ()
    content: Content = "scores"
    workers: int = 1
    restart: bool = False
    as_it_stood: AsItStood | None = None


@dataclass(frozen=True, slots=True)
class FhirResult:
    """How many patients were scored, before which of them this run began, how many lines there are of what."""

    patients: int
    resumed_at: int
    counted: dict[str, int]
    resources: GroupingTally


def score_folder(job: FhirJob, progress: Callable[[int], None] = lambda _: None) -> FhirResult:
    """Writes the scores of every patient of the folder.

    Raises:
        PanelRefused: the folder holds no FHIR, a name is unknown, or the form of the output is.
    """
    form = job.out.suffix.lower()
    if form not in (".csv", ".parquet", ".ndjson") or (form == ".ndjson" and job.content == "features"):
        forms = ".csv or .parquet" if job.content == "features" else ".csv, .parquet or .ndjson (FHIR RiskAssessment)"
        raise PanelRefused(f"{job.out.name}: write to a name that ends in {forms}.")
    asked = questions_about(job.names, job.settings)
    out = ResumableOutput(job.out, _signature(job, asked), restart=job.restart)
    resumed_at = out.rows
    if form != ".ndjson" and not out.rows:
        out.begin((",".join(_columns(job, asked)) + "\n").encode())
    tally = GroupingTally()
    charts = islice(charts_of(job.folder, Wanted.of(asked.needs), tally), out.rows, None)
    with _scorer(job) as score:
        for content, count, counted in score(_batches(charts)):
            for name, times in counted.items():
                out.tally[name] = out.tally.get(name, 0) + times
            out.add(content, count)
            progress(out.rows)
    out.finish(_types(job, asked) if form == ".parquet" else "")
    return FhirResult(out.rows, resumed_at, dict(sorted(out.tally.items())), tally)


Batch: TypeAlias = list[ChartLines]
Done: TypeAlias = tuple[bytes, int, dict[str, int]]


def _batches(charts: Iterator[ChartLines]) -> Iterator[Batch]:
    while batch := list(islice(charts, PATIENTS_AT_ONCE)):
        yield batch


@contextmanager
def _scorer(job: FhirJob) -> Iterator[Callable[[Iterator[Batch]], Iterator[Done]]]:
    """What scores batches, in their order: in this process, or in as many as the job says."""
    if job.workers == 1:
        worker = _Worker(job)
        yield lambda batches: map(worker, batches)
        return
    # spawn: onnxruntime's threads do not live through a fork.
    with ProcessPoolExecutor(job.workers, get_context("spawn"), _begin, (job,)) as pool:
        yield lambda batches: _in_order(pool, batches, 2 * job.workers)


def _in_order(pool: ProcessPoolExecutor, batches: Iterator[Batch], most: int) -> Iterator[Done]:
    waiting: list[Future[Done]] = []
    for batch in batches:
        waiting.append(pool.submit(_score, batch))
        if len(waiting) >= most:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


class _Worker:
    """Scores batches of one job in one process."""

    def __init__(self, job: FhirJob) -> None:
        self.job, self.asked = job, questions_about(job.names, job.settings)

    def __call__(self, charts: Batch) -> Done:
        # The records of a batch hold no cycles; looking for some costs a third of the time.
        gc.disable()
        try:
            return self._score(charts)
        finally:
            gc.enable()

    def _score(self, charts: Batch) -> Done:
        job, flags = self.job, self.asked.opt_out_flags
        records = [read_chart(each, job.as_of, job.as_it_stood, flags) for each in charts]
        if self.job.content == "features":
            rows = feature_rows(self.asked, records).tolist()
            identified = zip(records, rows, strict=True)
            lines = [
                [record.patient_id, *(None if value != value else value for value in row)] for record, row in identified
            ]
            return write_fields(lines), len(charts), {}
        scores = score_records(self.asked, records)
        counted: dict[str, int] = {}
        for score in scores:
            key = f"{score.name} {score.output}".strip() if not score.reason else f"no score, {score.reason}"
            counted[key] = counted.get(key, 0) + 1
        return self._written(scores), len(charts), counted

    def _written(self, scores: list[Score]) -> bytes:
        if self.job.out.suffix.lower() != ".ndjson":
            return write_fields([[getattr(score, name) for name in _COLUMNS] for score in scores])
        manifests = {m.manifest.id: m.manifest for each in self.asked.models for m in each.loaded}
        moment = self.job.as_of.isoformat(timespec="seconds")
        found = [
            risk_assessment(
                manifests[score.by or score.name],
                moment,
                score.patient_id,
                score.value if isinstance(score.value, float) else None,
                score.percentile,
                score.reason,
                score.reason_text,
            )
            for score in scores
            if score.name in manifests
        ]
        return b"".join(orjson.dumps(each) + b"\n" for each in found)


_worker: list[_Worker] = []


def _begin(job: FhirJob) -> None:
    _worker.append(_Worker(job))


def _score(charts: Batch) -> Done:
    return _worker[0](charts)


def _columns(job: FhirJob, asked: PanelQuestions) -> list[str]:
    return ["id", *(each.name for each in asked.features)] if job.content == "features" else ["id", *_COLUMNS[1:]]


def _types(job: FhirJob, asked: PanelQuestions) -> str:
    names = _columns(job, asked)
    numbers = set(names[1:]) if job.content == "features" else {"percentile"}
    typed = {name: "DOUBLE" if name in numbers else "VARCHAR" for name in names}
    return "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in typed.items()) + "}"


def _signature(job: FhirJob, asked: PanelQuestions) -> str:
    files = sorted(
        (str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in job.folder.rglob("*") if path.is_file()
    )
    models = [m.manifest.file.sha256 for each in asked.models for m in each.loaded]
    equations = [f"{each.id} {each.version}" for each in asked.equations]
    return signature_of(
        _ORDER,
        files,
        models,
        equations,
        asked.region,
        sorted(asked.opt_out_flags),
        job.as_of.isoformat(),
        job.content,
        job.out.suffix,
        job.as_it_stood is None,
    )
