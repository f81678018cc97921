"""Scores a folder of FHIR: in batches of patients, in several processes where that is asked, and resumable."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import orjson
from msgspec.structs import astuple

from cds_hooks.memory import no_collection
from cds_hooks.panel.chart_lines import ChartLines, GroupingTally, Wanted
from cds_hooks.panel.grouping import charts_of
from cds_hooks.panel.scoring import AsItStood, PanelQuestions, Score, feature_rows, read_chart, score_records
from cds_hooks.panel.selection import questions_about
from cds_hooks.settings import Settings
from fhir.record.record import PatientRecord
from models_onnx.errors import PanelRefused
from models_onnx.panel.outputs import ResumableOutput, risk_assessment, signature_of, write_fields
from models_onnx.panel.processes import results_in_order

PATIENTS_AT_ONCE = 200
Content: TypeAlias = Literal["scores", "features"]
# The order of the patients in the output: a run that was begun in another order cannot go on in this one.
_BY_HASH = "by hash, 256 files at most, bundles too"
UNREADABLE = "resources of charts that cannot be read and are not used"
_NOT_READ = frozenset({"unreadable", "not-a-resource"})
_BATCHES_A_COLLECTION = 50
_T = TypeVar("_T")
_COLUMNS = Score.__struct_fields__


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
        PanelRefused: the folder holds no FHIR or no patient, a name is unknown, or the form of the output is.
    """
    form = job.out.suffix.lower()
    if form not in (".csv", ".parquet", ".ndjson") or (form == ".ndjson" and job.content == "features"):
        forms = ".csv or .parquet" if job.content == "features" else ".csv, .parquet or .ndjson (FHIR RiskAssessment)"
        raise PanelRefused(f"{job.out.name}: write to a name that ends in {forms}.")
    questions = questions_about(job.names, job.settings)
    return _scored(job, questions, progress)


def _scored(job: FhirJob, questions: PanelQuestions, progress: Callable[[int], None]) -> FhirResult:
    form = job.out.suffix.lower()
    out = ResumableOutput(job.out, _signature(job, questions), restart=job.restart)
    resumed_at = out.rows
    if form != ".ndjson" and not out.rows:
        out.begin((",".join(_columns(job, questions)) + "\n").encode())
    tally = GroupingTally()
    # charts and records hold no cycles; looking for some between the batches costs a tenth of the time
    with no_collection(), _scorer(job, questions) as scores:
        for content, count, counted in scores(out.rows, tally):
            for name, times in counted.items():
                out.tally[name] = out.tally.get(name, 0) + times
            out.add(content, count)
            progress(out.rows)
    if not out.rows:
        out.discard()
        raise PanelRefused(_nobody(job.folder, tally))
    out.finish(_types(job, questions) if form == ".parquet" else "")
    return FhirResult(out.rows, resumed_at, dict(sorted(out.tally.items())), tally)


def _nobody(folder: Path, tally: GroupingTally) -> str:
    text = f"{tally.resources:,} resources, {tally.unreadable:,} lines or files that are no FHIR"
    file = f" (the first in {tally.unreadable_in})" if tally.unreadable_in else ""
    return (
        f"{folder} holds no patient who can be scored: only who has a Patient resource in it is. There are {text}"
        f"{file}, and {tally.two_persons:,} patients whose Patient resources differ in birth date or sex."
    )


Batch: TypeAlias = list[ChartLines]
Done: TypeAlias = tuple[bytes, int, dict[str, int]]
Scores: TypeAlias = Callable[[int, GroupingTally], Iterator[Done]]


def _batches(charts: Iterator[ChartLines]) -> Iterator[Batch]:
    while batch := list(islice(charts, PATIENTS_AT_ONCE)):
        yield batch
        del batch


def _collecting(batches: Iterator[_T]) -> Iterator[_T]:
    """Yields the same batches; the collector, which is off, looks at what is young once in a while."""
    for number, batch in enumerate(batches, 1):
        yield batch
        del batch
        if not number % _BATCHES_A_COLLECTION:
            gc.collect(0)


@contextmanager
def _scorer(job: FhirJob, questions: PanelQuestions) -> Iterator[Scores]:
    """Yields what scores the patients from one on, in batches: in this process, or in as many as the job says."""

    def charts(first: int, tally: GroupingTally) -> Iterator[ChartLines]:
        return islice(charts_of(job.folder, Wanted.of(questions.needs), tally), first, None)

    if job.workers == 1:
        worker = _Worker(job)
        yield lambda first, tally: _collecting(worker.each_batch(charts(first, tally)))
        return
    # spawn: onnxruntime's threads do not live through a fork.
    with ProcessPoolExecutor(job.workers, get_context("spawn"), _begin, (job,)) as pool:
        yield lambda first, tally: results_in_order(
            pool, _score, _collecting(_batches(charts(first, tally))), 2 * job.workers
        )


class _Worker:
    """Scores batches of one job in one process."""

    def __init__(self, job: FhirJob) -> None:
        self.job, self.asked = job, questions_about(job.names, job.settings)
        self._patients = self._unreadable = 0

    def each_batch(self, charts: Iterator[ChartLines]) -> Iterator[Done]:
        """Yields the batches of these charts; the record of a chart is made when it is scored, and freed then."""
        while (done := self(islice(charts, PATIENTS_AT_ONCE)))[1]:
            yield done

    def __call__(self, charts: Iterable[ChartLines]) -> Done:
        self._patients = self._unreadable = 0
        if self.job.content == "features":
            records = [self._read(chart) for chart in charts]
            rows = feature_rows(self.asked, records).tolist()
            identified = zip(records, rows, strict=True)
            lines = [
                [record.patient_id, *(None if value != value else value for value in row)] for record, row in identified
            ]
            return write_fields(lines), self._patients, self._with_unreadable({})
        scores = score_records(self.asked, map(self._read, charts))
        counted = Counter(f"{score.name} {score.output}".strip() for score in scores if not score.reason)
        reasons = Counter([score.reason for score in scores if score.reason])
        counted.update({f"no score, {reason}": times for reason, times in reasons.items()})
        return self._written(scores), self._patients, self._with_unreadable(counted)

    def _read(self, chart: ChartLines) -> PatientRecord:
        record = read_chart(chart, self.job.as_of, self.job.as_it_stood, self.asked.opt_out_flags)
        self._patients += 1
        self._unreadable += sum(1 for refusal in record.refusals if refusal.reason in _NOT_READ)
        return record

    def _with_unreadable(self, counted: dict[str, int]) -> dict[str, int]:
        return {UNREADABLE: self._unreadable, **counted} if self._unreadable else counted

    def _written(self, scores: list[Score]) -> bytes:
        if self.job.out.suffix.lower() != ".ndjson":
            return write_fields([astuple(score) for score in scores])
        manifests = {m.manifest.id: m.manifest for model in self.asked.models for m in model.loaded}
        moment = self.job.as_of.isoformat(timespec="seconds")
        risk_assessments = [
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
        return b"".join(orjson.dumps(risk_assessment) + b"\n" for risk_assessment in risk_assessments)


_worker: list[_Worker] = []


def _begin(job: FhirJob) -> None:
    gc.disable()  # as `no_collection`, until the process ends
    _worker.append(_Worker(job))


def _score(charts: Batch) -> Done:
    return _worker[0](charts)


def _columns(job: FhirJob, questions: PanelQuestions) -> list[str]:
    return (
        ["id", *(feature.name for feature in questions.features)]
        if job.content == "features"
        else ["id", *_COLUMNS[1:]]
    )


def _types(job: FhirJob, questions: PanelQuestions) -> str:
    names = _columns(job, questions)
    numbers = set(names[1:]) if job.content == "features" else {"percentile"}
    typed = {name: "DOUBLE" if name in numbers else "VARCHAR" for name in names}
    return "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in typed.items()) + "}"


def _signature(job: FhirJob, questions: PanelQuestions) -> str:
    files = sorted(
        (str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in job.folder.rglob("*") if path.is_file()
    )
    models = [m.manifest.file.sha256 for model in questions.models for m in model.loaded]
    equations = [f"{equation.id} {equation.version}" for equation in questions.equations]
    return signature_of(
        _BY_HASH,
        files,
        models,
        equations,
        questions.region,
        sorted(questions.opt_out_flags),
        job.as_of.isoformat(),
        job.content,
        job.out.suffix,
        job.as_it_stood is None,
    )
