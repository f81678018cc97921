"""Scores a folder of FHIR: in batches of patients, in one process or several."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from cds_hooks.settings import Settings
from cds_hooks.tools.batch.charts import RawChart, Wanted, charts_of
from cds_hooks.tools.batch.scoring import AsItStood, Questions, questions_about, read_chart, scores_table
from fhir.record.folder import FolderTally
from fhir.record.record import PatientRecord
from models_onnx.batch.run import each_scored, output_file
from models_onnx.errors import BatchRefused

PATIENTS_AT_ONCE = 200
UNREADABLE = "resources of charts that cannot be read and are not used"
_NOT_READ = frozenset({"unreadable", "not-a-resource"})


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
    workers: int = 1
    as_it_stood: AsItStood | None = None


@dataclass(slots=True)
class FhirResult:
    """How many patients were scored, how many lines there are of what, and what was read of the folder."""

    patients: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    resources: FolderTally = field(default_factory=FolderTally)


class Scored(NamedTuple):
    """An Arrow table about some patients, how many they are, and how many of their resources cannot be read."""

    table: Any
    patients: int
    unreadable: int


def score_folder(job: FhirJob, progress: Callable[[int], None] = lambda _: None) -> FhirResult:
    """Write the scores of every patient of the folder, or what the measures that are named say of them.

    Raises:
        BatchRefused: the folder holds no FHIR or no patient, a name is unknown, or the form of the output is.
    """
    (scorer, wanted), result = _scorer(job), FhirResult()
    with output_file(job.out) as write, charts_of(job.folder, wanted, result.resources) as charts:
        for scored in each_scored(scorer, in_batches(charts), job.workers):
            result.patients += scored.patients
            result.counted += _counted(scored)
            write(scored.table)
            progress(result.patients)
        if not result.patients:
            raise BatchRefused(_nobody(job.folder, result.resources))
    return result


class Sent:
    """What is sent to another process are the arguments: never what was loaded with them."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), self._arguments


class ChartScorer(Sent):
    """Scores charts of one job; sent to another process it loads the models there."""

    def __init__(self, job: FhirJob) -> None:
        super().__init__(job)
        self._job = job

    @cached_property
    def _questions(self) -> Questions:
        return questions_about(self._job.names, self._job.settings)

    def __call__(self, charts: list[RawChart]) -> Scored:
        """Return the scores of these charts; the record of a chart is freed when it is scored."""
        job, questions, refused = self._job, self._questions, Counter[str]()

        def read(chart: RawChart) -> PatientRecord:
            record = read_chart(chart, job.as_of, job.as_it_stood, questions.opt_out_flags)
            refused.update(refusal.reason for refusal in record.refusals)
            return record

        table = scores_table(questions, map(read, charts))
        return Scored(table, len(charts), sum(refused[reason] for reason in _NOT_READ))


def _scorer(job: FhirJob) -> tuple[Callable[[list[RawChart]], Scored], Wanted]:
    """Return what scores the charts of a job, and what it reads of them."""
    if job.settings.knowledge is not None and job.names:
        from cds_hooks.tools.batch.measures import MeasureScorer  # nothing of published knowledge is loaded before

        of_measures = MeasureScorer(job)
        if of_measures.measures:
            return of_measures, of_measures.wanted
    return ChartScorer(job), Wanted.of(questions_about(job.names, job.settings).needs)


def in_batches(charts: Iterator[RawChart]) -> Iterator[list[RawChart]]:
    """Yield the charts, as many at once as are scored together."""
    while batch := list(islice(charts, PATIENTS_AT_ONCE)):
        yield batch


def _counted(scored: Scored) -> Counter[str]:
    counted = Counter({UNREADABLE: scored.unreadable})
    columns = (scored.table.column(name).to_pylist() for name in ("name", "output", "text", "reason"))
    for name, output, state, reason in zip(*columns, strict=True):
        counted[f"no score, {reason}" if reason else " ".join(filter(None, (name, output, state)))] += 1
    return +counted


def _nobody(folder: Path, tally: FolderTally) -> str:
    text = f"{tally.resources:,} resources, {tally.unreadable:,} lines or files that are not FHIR"
    file = f" (the first in {tally.unreadable_in})" if tally.unreadable_in else ""
    return (
        f"{folder} holds no patient who can be scored: only who has a Patient resource in it is. There are {text}"
        f"{file}, and {tally.two_persons:,} patients whose Patient resources differ in birth date or sex."
    )
