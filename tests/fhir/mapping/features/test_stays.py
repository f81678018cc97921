"""Features of the current stay with their whole evidence: source, date and words, or why there is none."""

from datetime import UTC, datetime
from typing import Any

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import FeatureValue, Missing, map_features
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import encounter, problem, record_of

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ICD10, ICD9 = "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-9-cm"


def stay(name: str = "now", code: str = "IMP", disposition: str | None = None, **period: str) -> dict[str, Any]:
    """A stay, going on unless it is given an end."""
    left = {"dischargeDisposition": {"coding": [{"code": disposition}]}} if disposition is not None else None
    return encounter(
        {"system": ACT, "code": code}, "finished" if "end" in period else "in-progress", id=name,
        period={"start": "2026-11-15T08:00:00Z"} | period, hospitalization=left,
    )  # fmt: skip


def diagnosis(code: str, system: str = ICD10, encounter: str = "now", **more: Any) -> dict[str, Any]:
    """A diagnosis of a stay."""
    coded = problem(f"condition {code}", code, system, status=None, id=f"c-{code.replace('.', '-')}")
    return coded | {"encounter": {"reference": f"Encounter/{encounter}"}} | more


def found(name: str, *resources: Any) -> FeatureValue | Missing:
    """The feature of a chart with these resources."""
    vector = map_features(record_of(*resources, as_of=NOW), (FEATURES[name],))
    return vector.evidence[0] or vector.missing[0]


def value(name: str, *resources: Any) -> float:
    """Its value."""
    told = found(name, *resources)
    assert isinstance(told, FeatureValue), told
    return told.value


def test_another_diagnosis_is_a_no_and_that_of_another_stay_says_nothing() -> None:
    assert value("stay_heart_failure", stay(), diagnosis("E11.9")) == 0.0
    before = stay("before", start="2026-08-01T08:00:00Z", end="2026-08-04T08:00:00Z")
    told = found("stay_heart_failure", stay(), before, diagnosis("I50.9", encounter="before"))
    assert isinstance(told, Missing)
    assert "no diagnosis of this stay" in told.text


@for_rows(
    ("code", "place"),
    [("home", 0), ("01", 0), ("1", 0), ("06", 1), ("snf", 3), ("03", 3), ("SKILLED NURSING FACILITY", 3), ("REHAB", 5)],
)
def test_where_the_stay_ends_is_read_from_three_code_systems(code: str, place: int) -> None:
    assert value("discharge_destination", stay(disposition=code)) == place


def came_from(source: str, chart: dict[str, Any]) -> dict[str, Any]:
    """The stay with a code of where the patient came from."""
    return chart | {
        "hospitalization": chart.get("hospitalization", {}) | {"admitSource": {"coding": [{"code": source}]}}
    }


BEFORE = {"start": "2026-11-10T08:00:00Z", "end": "2026-11-15T06:00:00Z"}


@for_rows(
    ("current", "before", "count"),
    [
        (stay(), stay("a", **BEFORE), 1),  # at home for two hours
        (stay(), stay("a", disposition="other-hcf", **BEFORE), 0),
        (stay(), stay("a", disposition="02", **BEFORE), 0),
        (came_from("hosp-trans", stay()), stay("a", **BEFORE), 0),
        (stay(), stay("a", **(BEFORE | {"end": "2026-11-15T08:00:00Z"})), 0),
        (stay(), stay("a", disposition="other-hcf", **(BEFORE | {"end": "2026-11-12T08:00:00Z"})), 1),
    ],
)
def test_a_stay_that_went_over_into_this_one_is_no_admission_of_its_own(
    current: dict[str, Any], before: dict[str, Any], count: int
) -> None:
    assert value("admissions_12m", current, before) == count
    earlier = stay("b", start="2026-03-01T08:00:00Z", end="2026-03-05T08:30:00Z")
    same_stay = stay("c", start="2026-03-05T08:30:00Z", end="2026-03-09T08:00:00Z")
    assert value("admissions_12m", current, before, earlier, same_stay) == count + 1


START = "2026-11-15T08:00:00Z"


def procedure(when: str | None, identifier: str | None = "p", **more: Any) -> dict[str, Any]:
    resource = builders.procedure("Cardioversion", "180325003", when=when, id=identifier) | more
    return {name: part for name, part in resource.items() if part is not None}


def counted(name: str, value: float, words: str, source: str, when: str = START) -> FeatureValue:
    return FeatureValue(FEATURES[name], value, when, source, "", value, words)


@for_rows(
    ("resource", "value"),
    [
        (procedure("2026-11-15T08:00:00Z"), (1.0, "Cardioversion", "Procedure/p")),
        (procedure("2026-11-15T07:59:00Z"), (0.0, "none charted in this stay", "Encounter/now")),
        (procedure("2026-11-15"), (1.0, "Cardioversion", "Procedure/p")),
        (procedure("2026-11-14"), (0.0, "none charted in this stay", "Encounter/now")),
        (procedure("2026-11-20T09:00:00Z"), (1.0, "Cardioversion", "Procedure/p")),
        (procedure("2026-11-16", None), (1.0, "Cardioversion", "Encounter/now")),
        (procedure(None, performedPeriod={"start": "2026-11-16"}), (1.0, "Cardioversion", "Procedure/p")),
        (procedure(None), (0.0, "none charted in this stay", "Encounter/now")),
        (procedure("2026-11-16", code=None), (0.0, "none charted in this stay", "Encounter/now")),
    ],
)
def test_a_procedure_is_of_the_stay_from_its_first_day_to_now(resource: Any, value: tuple[float, str, str]) -> None:
    assert found("procedure_in_stay", stay(), resource) == counted("procedure_in_stay", *value)


@for_rows(("name", "code", "start", "counts"))
def test_visits_count_for_half_a_year_or_a_year(name: str, code: str, start: str, counts: bool) -> None:
    visit = stay("v", code, start=start, end=start.replace(":00:00Z", ":30:00Z"))
    read = found(name, visit)
    assert isinstance(read, FeatureValue)
    assert bool(read.value) is counts
