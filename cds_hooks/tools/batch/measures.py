"""Counts the gaps in care that published quality measures leave in a folder of FHIR, by patient and group."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from cards.knowledge.artifact import Artifact, check_folder
from cards.knowledge.measure import gaps_in_care
from cds_hooks.settings import Settings
from cds_hooks.tools.batch.charts import RawChart, Wanted
from cds_hooks.tools.batch.run import FhirJob, Scored, Sent
from cds_hooks.tools.batch.scoring import Score, table_of
from models_onnx.errors import BatchRefused


def measures_named(names: Iterable[str], configured: Settings) -> list[Artifact]:
    """Return the measures of the site's folder that have these names; none where no name is a measure's.

    Raises:
        BatchRefused: a name is that of a measure that is refused, or measures and models are named together.
    """
    if configured.knowledge is None or not names:
        return []
    artifacts, refused, _ = check_folder(configured.knowledge)
    measures = {artifact.id: artifact for artifact in artifacts if artifact.kind == "Measure"}
    for item in refused:
        if item.id in names:
            raise BatchRefused(f"{item.id} is refused: {item.faults[0]}")
    chosen = [measures[name] for name in names if name in measures]
    if chosen and len(chosen) < len(list(names)):
        raise BatchRefused(
            "Measures cannot be scored together with models or equations: name the measures in a separate command."
        )
    return chosen


class MeasureScorer(Sent):
    """Scores charts by the measures of one job: what each group says of every patient, for the job's calendar year."""

    def __init__(self, job: FhirJob) -> None:
        super().__init__(job)
        self._job = job

    @cached_property
    def measures(self) -> list[Artifact]:
        """The measures that the job names; none where it names models and equations."""
        return measures_named(self._job.names, self._job.settings)

    @property
    def wanted(self) -> Wanted:
        """What they read."""
        return Wanted(tuple(sorted({"Patient", *(kind for measure in self.measures for kind in measure.reads)})), ())

    def __call__(self, charts: list[RawChart]) -> Scored:
        """Return the states of these charts."""
        scores = [score for chart in charts for score in _scores(self._job, self.measures, chart)]
        return Scored(table_of(scores), len(charts), 0)


def _scores(job: FhirJob, measures: list[Artifact], chart: RawChart) -> Iterator[Score]:
    lines = chart.resources if job.as_it_stood is None else job.as_it_stood(chart.resources, job.as_of)
    resources = [resource for resource in map(_resource, lines) if resource is not None]
    for measure in measures:
        for gap in gaps_in_care(measure, resources, year_of(job.as_of), job.as_of.isoformat()):
            recognized = gap.state not in {"unknown", "failed"}
            yield Score(
                chart.patient_id,
                measure.id,
                gap.group,
                measure.id,
                value=gap.state if recognized else None,
                reason="" if recognized else gap.state,
                reason_text="" if recognized else gap.text,
            )


def _resource(line: bytes) -> dict[str, Any] | None:
    try:
        resource = json.loads(line, parse_float=Decimal)
    except ValueError:
        return None
    return resource if isinstance(resource, dict) else None


def year_of(as_of: datetime) -> dict[str, str]:
    """Return the calendar year: the period that a measure counts."""
    return {"start": f"{as_of.year:04d}-01-01", "end": f"{as_of.year:04d}-12-31"}
