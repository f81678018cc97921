"""From charts to a table: the mapping of the bedside as of an instant, and what happened after it, declared as data.

`table.toml` beside `features.toml` says from which instant of a chart one predicts (`index`), what may happen after it
(`event`), within how many days, and until which day the source saw everybody (`observed_until`). One row per index; ids
are hashed with a key that stays beside `table.toml`.

Who never comes back is followed to `observed_until`: where follow-up ends with the last entry of a chart, those who had
the event are followed longer than those who had not, and its share comes out too high.
"""

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
import pandas as pd
from msgspec import Struct

from fhir.mapping.features.catalog import FEATURES, features_named
from fhir.mapping.features.coded import CodeOrPhrase, read_code
from fhir.mapping.features.feature import map_features
from fhir.mapping.stays import is_transfer
from fhir.record.charts import Json, PatientChart, known_at, read_charts, time_of
from fhir.record.datatypes import DAY_SECONDS, CodeableConcept
from fhir.record.record import PatientRecord, record_from_resources
from fhir.record.resources import Encounter
from fhir.record.statuses import NEVER_TOOK_PLACE
from models_onnx.artifact.files import whole_file
from models_onnx.errors import TrainingRefused
from models_onnx.workbench.training.data.check_tables import DataReport

FILE: Final = "table.toml"
KEY: Final = "table.key"
"""The key of the hashed ids: 64 hexadecimal digits, made once and read by its owner only."""
FOLDS: Final = 5
UNDATED: Final = "undated_inputs"
"""Column of a table from charts: the features of a row that a call would have read otherwise (`fhir.record.charts`)."""
_IN_HOSPITAL: Final = frozenset({"IMP", "ACUTE", "NONAC"})
_HOUR_SECONDS: Final = 3600.0
_TIMES: Final = {
    "Condition": ("onsetDateTime", "recordedDate"),
    "Procedure": ("performedDateTime", "performedPeriod.start"),
    "Observation": ("effectiveDateTime", "issued"),
    "MedicationRequest": ("authoredOn",),
}
_WITHDRAWN: Final = frozenset({"entered-in-error", "cancelled", "not-done", "refuted"})
_ELECTIVE: Final = ("EL",)
"""HL7 v3 ActPriority, elective."""


@dataclass(frozen=True, slots=True)
class Index:
    """An instant from which one predicts, and the encounter it belongs to."""

    epoch: float
    encounter: Json


class OwnIndex(Struct, frozen=True, forbid_unknown_fields=True):
    """The begin or end of each encounter of these classes (`AMB`, `EMER`, `IMP` …), and so many hours later."""

    classes: tuple[str, ...]
    at: Literal["start", "end"] = "start"
    hours: float = 0.0
    first: bool = False
    """Only the first of each patient."""


class OwnEvent(Struct, frozen=True, forbid_unknown_fields=True):
    """The first of these after the index: a resource with one of the codes, or an encounter of one of the classes."""

    codes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    planned: tuple[str, ...] = _ELECTIVE
    """Codes of the encounter's priority that mean planned: such an admission is no event."""


class SiteTable(Struct, frozen=True, forbid_unknown_fields=True):
    """What `table.toml` declares; `features` are features of the package beside those of the site."""

    horizon_days: float
    index: Literal["discharge"] | OwnIndex = "discharge"
    event: Literal["death"] | OwnEvent = "death"
    features: tuple[str, ...] = ("age_years", "sex_male")
    observed_until: date | Mapping[str, date] | None = None
    """The last day of which the source tells everything; by subfolder where the charts are of several sources."""
    shifted_dates: bool = False
    """Each patient's dates were shifted, so that there is no such day: follow-up ends with the last entry."""


def read_table(folder: Path) -> SiteTable:
    """Return what `table.toml` of a folder declares.

    Raises:
        TrainingRefused: There is none, or something in it does not hold.
    """
    path = folder / FILE
    try:
        table = msgspec.toml.decode(path.read_bytes(), type=SiteTable)
    except OSError as error:
        raise TrainingRefused(f"{folder} has no {FILE}, which says the index, the event and the horizon") from error
    except msgspec.DecodeError as error:
        raise TrainingRefused(f"{FILE}: {str(error).replace('`', '')}") from error
    if unknown := [name for name in table.features if name not in FEATURES]:
        raise TrainingRefused(f"{FILE}: there is no feature {unknown[0]}")
    if table.horizon_days <= 0:
        raise TrainingRefused(f"{FILE}: horizon_days is more than 0")
    if isinstance(table.event, OwnEvent) and bool(table.event.codes) == bool(table.event.classes):
        raise TrainingRefused(f"{FILE}: event has codes or classes")
    if (table.observed_until is None) != table.shifted_dates:
        raise TrainingRefused(
            f"{FILE}: observed_until names the last day of which the source tells everything, as observed_until = "
            "2026-06-30; shifted_dates = true in its place is for charts that have no such day"
        )
    _codes(table)
    return table


def feature_table(table: SiteTable, names: Sequence[str], folder: Path, key: bytes) -> pd.DataFrame:
    """Return a row for each index of each patient in a folder of charts.

    `event` is 1 where it came within the horizon, 0 where it did not or the patient died before it, and empty where
    observation ended before the horizon, also for who had it by then: these would be counted without those who did not.
    `followed_days` is until the event, death or the end of observation. `patient`, `row` and
    `encounter` are hashed with the key; `index_date` (ISO day, UTC) and `site` (the encounter's service provider) are
    there to split by.

    Raises:
        TrainingRefused: No chart has such an index, or a source has no `observed_until`.
    """
    names = list(dict.fromkeys((*table.features, *names)))
    rows = [
        row
        for place, until in _sources(table, folder)
        for chart in read_charts(place)
        for row in rows_of_chart(table, names, chart, until, key)
    ]
    if not rows:
        raise TrainingRefused(f"no chart of {folder} has the index of {FILE}")
    return pd.DataFrame(rows)


def _sources(table: SiteTable, folder: Path) -> list[tuple[Path, float | None]]:
    """Return each folder of charts with the instant (epoch) at which its observation ends; None for the last entry."""
    declared = table.observed_until
    if not isinstance(declared, Mapping):
        return [(folder, _end_of(declared) if isinstance(declared, date) else None)]
    there = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    if there != set(declared):
        odd = ", ".join(sorted(there ^ set(declared)))
        raise TrainingRefused(f"{FILE}: observed_until and the subfolders of {folder} do not agree on {odd}")
    return [(folder / name, _end_of(day)) for name, day in sorted(declared.items())]


def _end_of(day: date) -> float:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC).timestamp()


def read_key(folder: Path) -> bytes:
    """Return the key of the hashed ids of a folder; it is made where there is none.

    Raises:
        TrainingRefused: The file does not hold 64 hexadecimal digits.
    """
    path = folder / KEY
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), encoding="ascii")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError as error:
        raise TrainingRefused(f"{KEY} does not hold a key of 64 hexadecimal digits") from error
    if len(key) != 32:
        raise TrainingRefused(f"{KEY} does not hold a key of 64 hexadecimal digits")
    return key


def write_feature_table(folder: Path, features: Sequence[str], charts: Path, out: Path) -> DataReport:
    """Write the table of a site's own features from a folder of charts; return the report on it.

    Raises:
        TrainingRefused: `table.toml` of the folder does not hold, or no chart has such an index.
    """
    table = read_table(folder)
    rows = feature_table(table, features, charts, read_key(folder))
    with whole_file(out) as draft:
        if out.suffix == ".parquet":
            rows.assign(index_date=pd.to_datetime(rows["index_date"]).dt.date).to_parquet(draft, index=False)
        else:
            rows.to_csv(draft, index=False)
    report = DataReport(out.name, "table of declared features", {"rows": len(rows), **counts_of(rows)})
    if table.shifted_dates:
        words = "follow-up ends with the last entry of each chart, so the share with the event is too high"
        report.add("follow-up", "warning", FILE, words, len(rows))
    for name, words in features_in_words(rows, [*table.features, *features]):
        report.add("feature", "note", name, words, len(rows))
    return report


def rows_of_chart(
    table: SiteTable, names: Sequence[str], chart: PatientChart, observed_until: float | None, key: bytes
) -> Iterator[Json]:
    """Return a row of the named features for each index of the patient that is observed."""
    death, stays = time_of(chart.patient, "deceasedDateTime"), list(_whole_stays(chart))
    dead = death.instant if death is not None else np.inf
    hashed, events = _hashed(chart.id, key), _events(table, chart, stays)
    for number, index in enumerate(_indices(table, chart, stays)):
        if dead <= index.epoch or (observed_until is not None and observed_until < index.epoch):
            continue
        vector = map_features(record_at(chart, index), features_named(tuple(names)))
        written = map_features(record_at(chart, index, as_written=True), features_named(tuple(names)))
        differs = ~np.isclose(vector.values, written.values, equal_nan=True)
        provider = index.encounter.get("serviceProvider")
        event = min((instant for instant in events if instant > index.epoch), default=None)
        last = max(last_seen(chart), event or -np.inf, index.epoch) if observed_until is None else observed_until
        followed = _followed(table, index, event, dead, last)
        if observed_until is not None and observed_until < index.epoch + table.horizon_days * DAY_SECONDS:
            followed["event"] = None
        yield {
            "patient": hashed,
            "row": f"{hashed}-{number}",
            "fold": int(hashed[:8], 16) % FOLDS,
            "year": datetime.fromtimestamp(index.epoch, UTC).year,
            "index_date": datetime.fromtimestamp(index.epoch, UTC).date().isoformat(),
            "site": provider.get("reference") or provider.get("display") if isinstance(provider, dict) else None,
            "encounter": _hashed(str(index.encounter.get("id")), key),
            **dict(zip(names, vector.values.tolist(), strict=True)),
            UNDATED: " ".join(name for name, is_one in zip(names, differs, strict=True) if is_one),
            **followed,
        }


def _followed(table: SiteTable, index: Index, event: float | None, dead: float, last: float) -> Json:
    """Return how long the patient was followed, and whether the event came; who died before it does not have it."""
    ends = min(dead, last)
    happened = event if event is not None and event <= ends else np.inf
    days = (max(min(happened, ends), index.epoch) - index.epoch) / DAY_SECONDS
    if days > table.horizon_days or (days == table.horizon_days and happened == np.inf):
        came: float | None = 0.0
    elif happened < np.inf:
        came = 1.0
    else:
        came = 0.0 if dead <= last else None
    return {"followed_days": days, "event": came}


def _hashed(text: str, key: bytes) -> str:
    return hashlib.blake2b(text.encode(), key=key, digest_size=8).hexdigest()


def record_at(chart: PatientChart, index: Index, *, as_written: bool = False) -> PatientRecord:
    """Return the record of what was known at the index; `as_written` as a call of that moment would have read it."""
    resources = known_at(chart.patient, chart.resources, index.epoch, as_written=as_written)
    as_of = datetime.fromtimestamp(index.epoch, UTC)
    return record_from_resources(resources, chart.id, as_of, index.encounter.get("id"))


def _indices(table: SiteTable, chart: PatientChart, stays: Sequence[Sequence[Json]]) -> list[Index]:
    """Return the instants of a chart from which one predicts, in time; `discharge` is the end of each hospital stay."""
    declared = OwnIndex((), "end") if table.index == "discharge" else table.index
    last = (max(stay, key=_end) for stay in stays)
    encounters = last if table.index == "discharge" else _encounters(chart, declared.classes)
    indices = [
        Index(time.instant + declared.hours * _HOUR_SECONDS, encounter)
        for encounter in encounters
        if (time := time_of(encounter, f"period.{declared.at}")) is not None
    ]
    indices.sort(key=attrgetter("epoch"))
    return indices[:1] if declared.first else indices


def _whole_stays(chart: PatientChart) -> Iterator[list[Json]]:
    """Yield the encounters of each stay: those that touch or overlap, and transfers within a day, are one stay."""
    begun = [
        (start.instant, encounter)
        for encounter in filter(_is_stay, chart.resources)
        if (start := time_of(encounter, "period.start")) is not None
    ]
    stay: list[Json] = []
    for begin, encounter in sorted(begun, key=lambda pair: (pair[0], _end(pair[1]))):
        last = max(stay, key=_end, default=None)
        if last is not None and begin > _end(last) + (DAY_SECONDS if _went_over(last, encounter) else 0.0):
            yield stay
            stay = []
        stay.append(encounter)
    if stay:
        yield stay


def _end(encounter: Json) -> float:
    end = time_of(encounter, "period.end")
    return end.instant if end is not None else np.inf


def _went_over(earlier: Json, later: Json) -> bool:
    try:
        return is_transfer(msgspec.convert(earlier, Encounter), msgspec.convert(later, Encounter))
    except msgspec.ValidationError:
        return False


def _is_stay(resource: Json) -> bool:
    """As `fhir.mapping.stays` counts stays, without those that are part of another."""
    if resource.get("resourceType") != "Encounter" or "partOf" in resource or not _took_place(resource):
        return False
    coding, hospitalization = resource.get("class"), resource.get("hospitalization")
    if isinstance(coding, dict) and coding.get("code") in _IN_HOSPITAL:
        return True
    begin, end = (time_of(resource, f"period.{at}") for at in ("start", "end"))
    has_destination = isinstance(hospitalization, dict) and "dischargeDisposition" in hospitalization
    return has_destination and begin is not None and end is not None and end.instant - begin.instant >= DAY_SECONDS


def _took_place(encounter: Json) -> bool:
    return encounter.get("status") not in NEVER_TOOK_PLACE


def _is_planned(encounter: Json, codes: Sequence[str]) -> bool:
    priority = encounter.get("priority")
    codings = priority.get("coding", ()) if isinstance(priority, dict) else ()
    return any(isinstance(coding, dict) and coding.get("code") in codes for coding in codings)


def last_seen(chart: PatientChart) -> float:
    """Return the last time anything is charted: who is seen no more is followed no longer."""
    times = [
        time_of(resource, path)
        for resource in chart.resources
        for path in ("period.end", "effectiveDateTime", "issued")
    ]
    return max((time.instant for time in times if time is not None), default=-np.inf)


def _events(table: SiteTable, chart: PatientChart, stays: Sequence[Sequence[Json]]) -> list[float]:
    """Return when events came (epoch). A stay is one from its begin on: neither its parts nor where it went over."""
    if not isinstance(table.event, OwnEvent):
        death = time_of(chart.patient, "deceasedDateTime")
        return [death.instant] if death is not None else []
    codes, later_parts = _codes(table), {id(encounter) for stay in stays for encounter in stay[1:]}
    times = [
        time_of(encounter, "period.start")
        for encounter in _encounters(chart, table.event.classes)
        if id(encounter) not in later_parts
        and not ("partOf" in encounter and encounter["class"]["code"] in _IN_HOSPITAL)
        and not _is_planned(encounter, table.event.planned)
    ]
    for resource in chart.resources if codes else ():
        paths = _TIMES.get(str(resource.get("resourceType")), ())
        if paths and _is_meant(resource, codes):
            times.append(next((time for path in paths if (time := time_of(resource, path)) is not None), None))
    return [time.instant for time in times if time is not None]


def _encounters(chart: PatientChart, classes: Sequence[str]) -> Iterator[Json]:
    for resource in chart.resources:
        coding = resource.get("class")
        is_there = resource.get("resourceType") == "Encounter" and _took_place(resource)
        if is_there and isinstance(coding, dict) and coding.get("code") in classes:
            yield resource


def _is_meant(resource: Json, codes: Sequence[CodeOrPhrase]) -> bool:
    verification = resource.get("verificationStatus") or {}
    codings = verification.get("coding", ()) if isinstance(verification, dict) else ()
    states = {resource.get("status"), *(coding.get("code") for coding in codings if isinstance(coding, dict))}
    if states & _WITHDRAWN:
        return False
    try:
        concept = msgspec.convert(resource.get("code") or resource.get("medicationCodeableConcept"), CodeableConcept)
    except msgspec.ValidationError:
        return False
    return any(code.matches(concept) is not None for code in codes)


def _codes(table: SiteTable) -> list[CodeOrPhrase]:
    try:
        return [read_code(text) for text in table.event.codes] if isinstance(table.event, OwnEvent) else []
    except ValueError as error:
        raise TrainingRefused(f"{FILE}: event: {error}") from error


def counts_of(rows: pd.DataFrame) -> dict[str, int]:
    """Return the patients of a feature table, and its rows by what is known of the event."""
    return {
        "patients": int(rows["patient"].nunique()),
        "with the event": int((rows["event"] == 1).sum()),
        "without": int((rows["event"] == 0).sum()),
        "not followed": int(rows["event"].isna().sum()),
    }


def undated_shares(rows: pd.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """Return in which share of the rows a call would have read each feature otherwise, of those in which it would."""
    if UNDATED not in rows:
        return {}
    there = rows[UNDATED].fillna("").astype(str).str.split()
    shares = {name: float(there.map(lambda read, name=name: name in read).mean()) for name in names}
    return {name: share for name, share in shares.items() if share > 0}


def undated_in_words(shares: Mapping[str, float]) -> list[str]:
    """Return the sentence of a model card on it; none where training and calls read the same."""
    if not shares:
        return []
    inputs = ", ".join(f"{name} {100 * share:.1f}" for name, share in shares.items())
    return [
        "Training and calls read a state without a date differently: a condition that is over or an order that has "
        "ended without a date counted as still there, and a day as known when it was over; a call reads the chart as "
        f"it is. Rows of 100 in which it decided: {inputs}."
    ]


def features_in_words(rows: pd.DataFrame, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each feature with the share of the rows in which it is missing, and where 90 % of its values lie."""
    undated = undated_shares(rows, names)
    for name in dict.fromkeys(names):
        there = rows[name].dropna()
        words = f"missing in {rows[name].isna().mean():.1%} of the rows"
        if len(there):
            low, middle, high = (f"{there.quantile(at):.4g}" for at in (0.05, 0.5, 0.95))
            words += f"; median {middle}, 90 % of the values from {low} to {high}"
        if share := undated.get(name):
            words += f"; a call would have read it otherwise in {share:.1%} of the rows (a state without a date)"
        yield name, words
