"""From charts to a training table: the same mapping as at the bedside, as of an instant, and what happened after it.

From the columns of a study to the inputs by the names of the features, which `cds-hooks score` reads.

One row per index: a discharge from hospital, an outpatient visit, the third day of a stay. Ids are hashed, and the only
date that is kept is the year.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import map_features
from fhir.record.charts import Chart, Json, known_at, read_charts, time_of
from fhir.record.datatypes import DAY_SECONDS
from fhir.record.record import PatientRecord, read_record, read_value
from models_onnx.artifact.files import whole_file
from models_onnx.errors import TrainingRefused
from models_onnx.spec import DAYS_PER_YEAR, CohortExclusion, FollowUp, ModelSpec
from models_onnx.workbench.training.data.cohort import Table, inputs_of, read_chunks

FOLDS = 5
_AT_ONCE = 20_000
_IN_HOSPITAL = frozenset({"IMP", "ACUTE", "NONAC"})
_AMBULATORY = frozenset({"AMB"})
_THIRD_DAY = 3 * DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Index:
    """An instant from which one predicts, and the encounter it belongs to."""

    epoch: float
    encounter: Json


def dataset(spec: ModelSpec, folder: Path, progress: Callable[[int], None] = lambda _: None) -> pd.DataFrame:
    """One row per index of every patient in the folder; TrainingRefused where the model declares no `charts`."""
    if spec.charts is None:
        raise TrainingRefused(f"{spec.id} does not say from which instant on charts are read (ModelSpec.charts)")
    rows = []
    for number, chart in enumerate(read_charts(folder)):
        rows += list(rows_of(spec, chart))
        progress(number + 1)
    if not rows:
        raise TrainingRefused(f"no chart of {folder} has a {spec.charts.index}")
    return pd.DataFrame(rows)


def rows_of(spec: ModelSpec, chart: Chart) -> Iterator[Json]:
    """Yields the rows of one patient, in time."""
    assert spec.charts is not None  # noqa: S101 - asked above
    last = last_seen(chart)
    death = time_of(chart.patient, "deceasedDateTime")
    name = hashlib.sha256(chart.id.encode()).hexdigest()
    for number, index in enumerate(indices_of(chart, spec.charts.index)):
        if death is not None and death.instant <= index.epoch:
            continue
        values = features_at(spec, chart, index)
        event = death.instant if death is not None and spec.charts.event == "death" else None
        if spec.charts.event == "readmission":
            event = next_stay(chart, index)
        until = event if event is not None else max(last, index.epoch)
        yield {
            "patient": name[:16],
            "row": f"{name[:16]}-{number}",
            "fold": int(name[:8], 16) % FOLDS,
            "year": datetime.fromtimestamp(index.epoch, UTC).year,
            **values,
            "followed_days": (until - index.epoch) / DAY_SECONDS,
            "event": float(event is not None),
        }


def features_at(spec: ModelSpec, chart: Chart, index: Index) -> dict[str, float]:
    """Returns the inputs as of the index, through the mapping of the bedside; NaN where missing."""
    record = record_at(chart, index)
    vector = map_features(record, features_named(spec.feature_names))
    return dict(zip(spec.feature_names, vector.values.tolist(), strict=True))


def record_at(chart: Chart, index: Index) -> PatientRecord:
    """Returns the record of what was known at the index."""
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": resource} for resource in known_at(chart.patient, chart.resources, index.epoch)],
    }
    value, refusals = read_value("chart", msgspec.json.encode(bundle))
    as_of = datetime.fromtimestamp(index.epoch, UTC)
    return read_record(
        {"chart": value},
        chart.id,
        as_of,
        on_other_patient="refuse",
        encounter_id=index.encounter.get("id"),
        refusals=refusals,
    )


def spec_of_charts(spec: ModelSpec) -> ModelSpec:
    """The same model, trained from rows of charts: inputs by their own names, everybody followed as long as seen."""
    horizon = replace(
        spec.outcome,
        column="event",
        of=None,
        follow_up=FollowUp(lambda rows: rows["followed_days"], lambda rows: rows["event"], DAYS_PER_YEAR),
    )
    return replace(
        spec,
        table="charts",
        text=False,
        outcome=horizon,
        derived={},
        exclusions=tuple(_exclusions(spec)),
        recalibration=None,
        newest=None,
        needs={},
        reference_words="the charts it was trained on",
        cohort_words=f"charts, one row per {spec.charts.index if spec.charts else 'index'}",
        period="the years of the charts",
        subgroups={
            "sex": lambda rows: rows["sex_male"].map({1.0: "male", 0.0: "female"}),
            "age band": lambda rows: (rows["age_years"] // 10 * 10).astype("Int64").astype(str),
        },
        patient_column="patient",
        row_column="row",
        fold_column="fold",
        never_inputs=("event", "followed_days"),
        floors=replace(spec.floors, c_index=None),
        row_words="index dates",
    )


def table_of_charts(spec: ModelSpec, folder: Path, progress: Callable[[int], None] = lambda _: None) -> Table:
    """Returns the dataset as a training table, with the digest of its rows."""
    rows = dataset(spec, folder, progress)
    digest = hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()
    return Table("charts", digest, rows)


def study_inputs(spec: ModelSpec, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a study as `cds-hooks score` reads them: `id`, the inputs, and whom an exclusion leaves out.

    An exclusion that also holds at the bedside is a column of 0 and 1, called `deceased` or by its reason; one that
    reads a column that is not there says nothing.
    """
    columns = {"id": rows[spec.key].to_numpy()}
    columns |= dict(zip(spec.feature_names, inputs_of(spec, rows).T, strict=True))
    for exclusion in spec.exclusions:
        with suppress(KeyError, TypeError):  # no such column, or words in one that should be numbers
            if (name := exclusion_column(exclusion)) is not None:
                columns[name] = np.asarray(exclusion.leaves_out(rows), dtype=np.int64)
    return pd.DataFrame(columns)


def exclusion_column(exclusion: CohortExclusion) -> str | None:
    """Return the column of an exclusion; None for one by which nobody is left out at the bedside."""
    return "deceased" if exclusion.at_score == "deceased" else exclusion.reason if exclusion.at_score else None


def exclude_options(spec: ModelSpec) -> str:
    """Return the options of `cds-hooks score` that leave out whom the study leaves out."""
    columns = [column for exclusion in spec.exclusions if (column := exclusion_column(exclusion))]
    return "".join(f" --exclude {column}" for column in columns if column != "deceased")


def write_rows(
    spec: ModelSpec, folder: Path, out: Path | None, progress: Callable[[int], None] = lambda _: None
) -> pd.DataFrame:
    """Return the rows of the charts in a folder; where `out` is named, it gets them as CSV."""
    rows = dataset(spec, folder, progress)
    if out is not None:
        with whole_file(out) as draft:
            rows.to_csv(draft, index=False)
    return rows


def write_inputs(spec: ModelSpec, rows: Path, out: Path, progress: Callable[[int], None] = lambda _: None) -> int:
    """Write the inputs of a study's table as CSV, and return the number of rows.

    Raises:
        TrainingRefused: the table has no key, or cannot be read to its end; nothing is written then.
    """
    if out.exists() and out.samefile(rows):
        raise TrainingRefused(f"{out} is the table itself; write the inputs to another file")
    count = 0
    with whole_file(out) as draft:
        for part in read_chunks(spec, rows, _AT_ONCE):
            if spec.key not in part.columns:
                raise TrainingRefused(f"{rows.name} has no column {spec.key}, by which a line names its row")
            packed = "gzip" if out.suffix == ".gz" else None
            study_inputs(spec, part).to_csv(draft, mode="a", header=count == 0, index=False, compression=packed)
            count += len(part)
            progress(count)
    return count


def _exclusions(spec: ModelSpec) -> Iterator[CohortExclusion]:
    if spec.population.age_low:
        low = spec.population.age_low
        yield CohortExclusion(
            "too-young", f"younger than {low}", lambda rows: rows["age_years"] < low, "outside-population"
        )
    names = list(spec.always_required)
    yield CohortExclusion("input-missing", f"without {', '.join(names)}", lambda rows: rows[names].isna().any(axis=1))
    for group in spec.required_groups:
        members, least = list(group.members), group.at_least

        def few(rows: Any, members: list[str] = members, least: int = least) -> Any:
            return rows[members].notna().sum(axis=1) < least

        yield CohortExclusion("too-few-inputs", f"fewer than {least} of {len(members)} {group.words}", few)


def indices_of(chart: Chart, kind: str) -> list[Index]:
    """Returns the instants of a chart from which one predicts, in time (`FromCharts.index` names the kinds)."""
    stays = [
        (begin, resource)
        for resource in chart.resources
        if resource.get("resourceType") == "Encounter" and (begin := _begin(resource)) is not None
    ]
    if kind == "visit":
        # A year after the chart begins: before that, what is missing may only not have been charted yet.
        since = min((begin for begin, _ in stays), default=0.0) + DAYS_PER_YEAR * DAY_SECONDS
        visits = [(begin, visit) for begin, visit in stays if _class(visit) in _AMBULATORY and begin >= since]
        return sorted((Index(_end(visit) or begin, visit) for begin, visit in visits), key=_epoch)[:1]
    inpatient = [(begin, stay) for begin, stay in stays if _is_stay(stay)]
    if kind == "third-day":
        indices = [Index(begin + _THIRD_DAY, stay) for begin, stay in inpatient]
        return [index for index in indices if (_end(index.encounter) or 0.0) >= index.epoch][:1]
    return sorted((Index(end, stay) for _, stay in inpatient if (end := _end(stay)) is not None), key=_epoch)


def _epoch(index: Index) -> float:
    return index.epoch


def _is_stay(encounter: Json) -> bool:
    """As `fhir.mapping.stays` counts stays, without those that are part of another."""
    begin, end = _begin(encounter), _end(encounter)
    hospitalization = encounter.get("hospitalization")
    has_destination = isinstance(hospitalization, dict) and "dischargeDisposition" in hospitalization
    long = begin is not None and end is not None and end - begin >= DAY_SECONDS
    return "partOf" not in encounter and (_class(encounter) in _IN_HOSPITAL or (has_destination and long))


def next_stay(chart: Chart, index: Index) -> float | None:
    """Return when the next stay in hospital after the index begins; None where there is none."""
    later = [
        begin
        for resource in chart.resources
        if resource.get("resourceType") == "Encounter"
        and _is_stay(resource)
        and (begin := _begin(resource)) is not None
        and begin > index.epoch
    ]
    return min(later, default=None)


def last_seen(chart: Chart) -> float:
    """Returns the last time anything is charted: who is seen no more is followed no longer."""
    times = [
        time_of(resource, path)
        for resource in chart.resources
        for path in ("period.end", "effectiveDateTime", "issued")
    ]
    return max((time.instant for time in times if time is not None), default=-np.inf)


def _class(encounter: Json) -> str | None:
    coding = encounter.get("class")
    return coding.get("code") if isinstance(coding, dict) else None


def _begin(encounter: Json) -> float | None:
    time = time_of(encounter, "period.start")
    return time.instant if time is not None else None


def _end(encounter: Json) -> float | None:
    time = time_of(encounter, "period.end")
    return time.instant if time is not None else None


def describe(rows: pd.DataFrame) -> dict[str, Any]:
    """Returns what a dataset holds: rows, patients, events, and the share of each input that is missing."""
    inputs = [name for name in rows.columns if name not in ("patient", "row", "fold", "year", "followed_days", "event")]
    return {
        "rows": len(rows),
        "patients": int(rows["patient"].nunique()),
        "events": int(rows["event"].sum()),
        "years": f"{rows['year'].min()}-{rows['year'].max()}",
        "missing": {name: round(float(rows[name].isna().mean()), 3) for name in inputs},
    }
