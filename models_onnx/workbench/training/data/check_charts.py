"""Checks a folder of FHIR: codes, units and values that the mapping cannot use, repeats, and times that cannot be."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from fhir.record.charts import ChartsRefused, Json, PatientChart, read_charts
from fhir.record.datatypes import parse_time
from fhir.record.record import read_record, read_value
from fhir.terminology.analytes import ANALYTE_BY_LOINC, ANALYTES, LOINC
from fhir.terminology.conditions import SYSTEMS, condition_groups_of
from models_onnx.workbench.training.data.check_tables import DataReport

# Refusals of the mapping, by what they are about.
_VALUES = {"implausible": "implausible-value", "unit-conflict": "unit", "unknown-unit": "unit", "no-unit": "unit"}
_CODED = {"Observation": "code", "Condition": "code"}


def check_charts(folder: Path) -> DataReport:
    """Return what is wrong with the charts of the folder, counted over all patients."""
    report = DataReport(folder.name, "folder of FHIR", {})
    seen = _Seen()
    unreadable: list[ChartsRefused] = []
    for chart in read_charts(folder, unreadable.append, with_repeats=True):
        seen.take(chart)
    # A count only: a file is often called after its patient.
    report.add("unreadable-file", "error", "files", "files that are no JSON, left out here", len(unreadable))
    report.counts = {"patients": seen.patients, **dict(sorted(seen.resources.items()))}
    seen.tell(report)
    return report


class _Seen:
    """What has been seen so far."""

    def __init__(self) -> None:
        self.patients = 0
        self.resources: Counter[str] = Counter()
        self.found: dict[tuple[str, str], Counter[str]] = {}

    def take(self, chart: PatientChart) -> None:
        """One patient's chart."""
        self.patients += 1
        ids: set[tuple[str, str]] = set()
        contents: set[bytes] = set()
        death = _time(chart.patient, "deceasedDateTime")
        birth = _time(chart.patient, "birthDate")
        for resource in chart.resources:
            kind = str(resource.get("resourceType"))
            self.resources[kind] += 1
            self._codes(kind, resource)
            self._times(kind, resource, birth, death)
            identity = (kind, str(resource.get("id")))
            self._note("duplicate", kind, "the same id twice", identity in ids and kind != "Medication")
            ids.add(identity)
            if kind == "Observation":
                body = {name: value for name, value in resource.items() if name not in ("id", "meta", "identifier")}
                content = msgspec.json.encode(body)
                self._note("duplicate", kind, "the same result twice under two ids", content in contents)
                contents.add(content)
        self._mapped(chart)

    def tell(self, report: DataReport) -> None:
        """Return findings, the most frequent of a kind first."""
        words = {
            "unmapped-code": ("warning", "a code that no feature is read from"),
            "no-code-system": ("warning", "a code without its system"),
            "unit": ("warning", "a unit that cannot be converted, or contradicts itself"),
            "implausible-value": ("warning", "a value that is not believed"),
            "unreadable": ("error", "a resource or value that cannot be read"),
            "duplicate": ("warning", "charted more than once"),
            "look-ahead": ("error", "a time that cannot be: before birth, after death, or in the future"),
            "no-date": ("warning", "without a date it is known at no time, and left out"),
        }
        for kind, (severity, text) in words.items():
            for (example, where), examples in sorted(self.found.items(), key=lambda item: -sum(item[1].values())):
                if example == kind:
                    report.add(kind, severity, where, text, examples)  # type: ignore[arg-type]  # one of the words above

    def _note(self, kind: str, where: str, example: str, is_so: bool = True) -> None:
        if is_so:
            self.found.setdefault((kind, where), Counter())[example] += 1

    def _codes(self, kind: str, resource: Json) -> None:
        concept = resource.get(_CODED.get(kind, ""))
        codings = [coding for coding in (concept or {}).get("coding") or () if isinstance(coding, dict)]
        parts = [
            coding for part in resource.get("component") or () for coding in (part.get("code") or {}).get("coding", ())
        ]
        if kind not in _CODED or any(_is_mapped(kind, coding) for coding in [*codings, *parts]):
            return
        for coding in codings[:1]:
            system, code = coding.get("system"), coding.get("code")
            self._note("no-code-system", kind, f"{code}", not system)
            self._note("unmapped-code", kind, f"{_short(system)}|{code}", bool(system))
        self._note("unmapped-code", kind, "no code at all", not codings)

    def _times(self, kind: str, resource: Json, birth: float | None, death: float | None) -> None:
        now = datetime.now(UTC).timestamp()
        dated = [_time(resource, name) for name in ("effectiveDateTime", "recordedDate", "onsetDateTime", "authoredOn")]
        times = [time for time in dated if time is not None]
        self._note("no-date", kind, "without effective time", kind == "Observation" and not times)
        for time in times[:1]:
            # MIMIC moves every patient into a future of their own: only what lies after death is wrong there.
            self._note("look-ahead", kind, "after death", death is not None and time > death + 7 * 86_400)
            self._note("look-ahead", kind, "before birth", birth is not None and time < birth - 86_400)
            self._note("look-ahead", kind, "in the future", death is None and now < time < now + 50 * 31_557_600)

    def _mapped(self, chart: PatientChart) -> None:
        """Every result through the mapping of the bedside, long after the last of them."""
        entries = [{"resource": resource} for resource in [chart.patient, *chart.resources]]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        value, refusals = read_value("chart", msgspec.json.encode(bundle))
        record = read_record({"c": value}, chart.id, datetime(2299, 1, 1, tzinfo=UTC), on_other_patient="refuse")
        for key in ANALYTES:
            record.measurements(key)
        for refusal in refusals:
            self._note("unreadable", refusal.subject.partition("/")[0], refusal.reason)
        for refusal in record.refusals:
            kind = _VALUES.get(refusal.reason)
            if kind is not None:
                self._note(kind, "Observation", refusal.statement)


def _is_mapped(kind: str, coding: Json) -> bool:
    system, code = coding.get("system"), coding.get("code")
    if kind == "Observation":
        return system == LOINC and code in ANALYTE_BY_LOINC
    return bool(condition_groups_of(system, code))


def _short(system: Any) -> str:
    """Return the system by the last part of its address."""
    return SYSTEMS.get(str(system)) or str(system).rstrip("/").rpartition("/")[2] or str(system)


def _time(resource: Json, name: str) -> float | None:
    text = resource.get(name)
    time = parse_time(text) if isinstance(text, str) else None
    return time.instant if time is not None else None
