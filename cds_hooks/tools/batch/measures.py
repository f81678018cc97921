"""Counts the gaps in care that published quality measures leave in a folder of FHIR, by patient and group."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from cards.knowledge.artifact import Artifact, check_folder
from cards.knowledge.measure import gaps_in_care
from cds_hooks.settings import Settings
from cds_hooks.tools.batch.charts import RawChart, Wanted, charts_of
from cds_hooks.tools.batch.run import FhirJob, FhirResult, in_batches
from cds_hooks.tools.batch.scoring import Score, table_of
from models_onnx.batch.run import output_file
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


def score_measures(job: FhirJob, measures: list[Artifact], progress: Callable[[int], None]) -> FhirResult:
    """Write what each group of each measure says of every patient, for the calendar year of the job.

    Raises:
        BatchRefused: the folder holds no FHIR or no patient, or the form of the output is not known.
    """
    result = FhirResult()
    wanted = Wanted(tuple(sorted({"Patient", *(kind for measure in measures for kind in measure.reads)})), ())
    with output_file(job.out) as write, charts_of(job.folder, wanted, result.resources) as charts:
        for batch in in_batches(charts):
            scores = [score for chart in batch for score in _scores(job, measures, chart)]
            result.patients += len(batch)
            result.counted += Counter(f"{score.name} {score.output} {score.value or score.reason}" for score in scores)
            write(table_of(scores))
            progress(result.patients)
        if not result.patients:
            raise BatchRefused(f"{job.folder} holds no patient.")
    return result


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
