"""What was diagnosed in a stay, where it ends, how ill the patient came: read from the chart, or missing by name."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir.mapping.destinations import DESTINATIONS, destination_of
from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import FeatureValue, Missing, map_features
from fhir.mapping.stays import discharge_destination
from tests.fhir.builders import observation, record_of

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ICD10, ICD9 = "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-9-cm"


def stay(name: str = "now", code: str = "IMP", disposition: str | None = None, **period: str) -> dict[str, Any]:
    """A stay, going on unless it is given an end."""
    told: dict[str, Any] = {
        "resourceType": "Encounter", "id": name, "status": "finished" if "end" in period else "in-progress",
        "class": {"system": ACT, "code": code}, "subject": {"reference": "Patient/p1"},
        "period": {"start": "2026-11-15T08:00:00Z"} | period,
    }  # fmt: skip
    if disposition is not None:
        told["hospitalization"] = {"dischargeDisposition": {"coding": [{"code": disposition}]}}
    return told


def diagnosis(code: str, system: str = ICD10, encounter: str = "now", **more: Any) -> dict[str, Any]:
    """A diagnosis of a stay."""
    return {
        "resourceType": "Condition", "id": f"c-{code.replace('.', '-')}",
        "code": {"coding": [{"system": system, "code": code}], "text": f"condition {code}"},
        "subject": {"reference": "Patient/p1"}, "encounter": {"reference": f"Encounter/{encounter}"}, **more,
    }  # fmt: skip


def found(name: str, *resources: Any) -> FeatureValue | Missing:
    """The feature of a chart with these resources."""
    vector = map_features(record_of(*resources, as_of=NOW), (FEATURES[name],))
    return vector.evidence[0] or vector.missing[0]


def value(name: str, *resources: Any) -> float:
    """Its value."""
    told = found(name, *resources)
    assert isinstance(told, FeatureValue), told
    return told.value


@pytest.mark.parametrize(("code", "system"), [("I50.9", ICD10), ("428.0", ICD9)])
def test_a_diagnosis_of_the_stay_is_a_yes_in_either_edition(code: str, system: str) -> None:
    told = found("stay_heart_failure", stay(), diagnosis(code, system))
    assert isinstance(told, FeatureValue)
    assert (told.value, told.code, told.is_found) == (1.0, code, True)


def test_another_diagnosis_is_a_no_and_that_of_another_stay_says_nothing() -> None:
    assert value("stay_heart_failure", stay(), diagnosis("E11.9")) == 0.0
    before = stay("before", start="2026-08-01T08:00:00Z", end="2026-08-04T08:00:00Z")
    told = found("stay_heart_failure", stay(), before, diagnosis("I50.9", encounter="before"))
    assert isinstance(told, Missing)
    assert "no diagnosis of this stay" in told.text


@pytest.mark.parametrize("reference", ["https://ehr.example/fhir/Encounter/now", "Encounter/now/_history/4"])
def test_a_diagnosis_may_name_the_stay_with_a_server_or_a_version(reference: str) -> None:
    assert value("stay_heart_failure", stay(), diagnosis("I50.9") | {"encounter": {"reference": reference}}) == 1.0


@pytest.mark.parametrize(
    ("code", "place"),
    [("home", 0), ("01", 0), ("1", 0), ("06", 1), ("snf", 3), ("03", 3), ("SKILLED NURSING FACILITY", 3), ("REHAB", 5)],
)
def test_where_the_stay_ends_is_read_from_three_code_systems(code: str, place: int) -> None:
    assert value("discharge_destination", stay(disposition=code)) == place


@pytest.mark.parametrize("code", ["oth", "30", "hosp", "exp", "nonsense", "ADMITTED"])
def test_what_is_no_destination_of_the_study_is_missing(code: str) -> None:
    assert isinstance(found("discharge_destination", stay(disposition=code)), Missing)


def test_death_and_hospice_are_known_as_what_they_are() -> None:
    told = [destination_of(code) for code in ("exp", "20", "hosp", "50", None, "99")]
    assert [each.key if each else None for each in told] == ["died", "died", "hospice", "hospice", None, None]
    assert len({each.key for each in DESTINATIONS}) == len(DESTINATIONS) == 13


def test_a_part_of_a_stay_is_no_stay_and_an_admission_through_the_emergency_department_is_one() -> None:
    intensive = stay("icu", "ACUTE", start="2026-03-02T08:00:00Z", end="2026-03-03T08:00:00Z")
    whole = stay("d", "EMER", "HOME", start="2026-03-01T08:00:00Z", end="2026-03-05T08:30:00Z")
    assert value("admissions_12m", stay(), whole, intensive) == 1
    assert value("ed_visits_12m", stay(), whole, intensive) == 0


def came_from(source: str, chart: dict[str, Any]) -> dict[str, Any]:
    """The stay with a code of where the patient came from."""
    return chart | {
        "hospitalization": chart.get("hospitalization", {}) | {"admitSource": {"coding": [{"code": source}]}}
    }


BEFORE = {"start": "2026-11-10T08:00:00Z", "end": "2026-11-15T06:00:00Z"}


@pytest.mark.parametrize(
    ("current", "before", "count"),
    [
        (stay(), stay("a", **BEFORE), 1),  # at home for two hours
        (stay(), stay("a", disposition="home", **BEFORE), 1),
        (stay(), stay("a", disposition="other-hcf", **BEFORE), 0),
        (stay(), stay("a", disposition="02", **BEFORE), 0),
        (came_from("hosp-trans", stay()), stay("a", **BEFORE), 0),
        (came_from("emd", stay()), stay("a", **BEFORE), 1),
        (stay(), stay("a", **(BEFORE | {"end": "2026-11-15T08:00:00Z"})), 0),
        (stay(), stay("a", disposition="other-hcf", **(BEFORE | {"end": "2026-11-12T08:00:00Z"})), 1),
    ],
)
def test_a_stay_that_went_over_into_this_one_is_no_admission_of_its_own(
    current: dict[str, Any], before: dict[str, Any], count: int
) -> None:
    assert value("admissions_12m", current, before) == count
    earlier = stay("b", start="2026-03-01T08:00:00Z", end="2026-03-05T08:30:00Z")
    assert value("admissions_12m", current, before, earlier) == count + 1


def test_a_stay_may_go_over_twice() -> None:
    first = stay("a", start="2026-11-08T08:00:00Z", end="2026-11-10T08:00:00Z")
    second = stay("b", start="2026-11-10T08:00:00Z", end="2026-11-15T08:00:00Z")
    assert value("admissions_12m", stay(), first, second) == 0


def test_two_entries_of_one_stay_are_one() -> None:
    span = {"start": "2026-03-01T08:00:00Z", "end": "2026-03-05T08:30:00Z"}
    other_zone = {"start": "2026-03-01T09:00:00+01:00", "end": "2026-03-05T09:30:00+01:00"}
    assert value("admissions_12m", stay(), stay("a", **span), stay("b", **span), stay("c", **other_zone)) == 1


OF_THE_CHART = "urn:oid:1.2.840.114350.1.13.0.1.7.4.698084.18888"
NUBC = "https://www.nubc.org/CodeSystem/PatDischargeStatus"


@pytest.mark.parametrize(
    ("disposition", "key"),
    [
        ({"coding": [{"system": NUBC, "code": "06"}]}, "home_health"),
        ({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0112", "code": "03"}]}, "skilled_nursing"),
        ({"coding": [{"system": "urn:oid:2.16.840.1.113883.6.301.5", "code": "51"}]}, "hospice"),
        ({"coding": [{"system": OF_THE_CHART, "code": "6", "display": "Skilled Nursing Facility"}]}, "skilled_nursing"),
        ({"coding": [{"system": OF_THE_CHART, "code": "20"}], "text": "Home or Self Care"}, "home"),
        ({"coding": [{"system": OF_THE_CHART, "code": "20"}]}, None),
        ({"coding": [{"code": "20"}]}, "died"),
    ],
)
def test_a_number_of_another_code_system_is_no_destination(disposition: dict[str, Any], key: str | None) -> None:
    told = discharge_destination(record_of(stay() | {"hospitalization": {"dischargeDisposition": disposition}}))
    assert (told[0].key if told is not None else None) == key


def test_mean_pressure_is_a_third_of_the_way_up() -> None:
    readings = [observation(code, number, "mm[Hg]", "2026-11-19T08:00:00Z") for code, number in PRESSURES]
    assert value("stay_mean_pressure_mmhg", stay(), *readings) == pytest.approx(90.0)
    assert isinstance(found("stay_mean_pressure_mmhg", stay(), readings[0]), Missing)


PRESSURES = (("8480-6", 130.0), ("8462-4", 70.0))


@pytest.mark.parametrize(("scale", "level"), [(15, 0), (3, 10), (9, None)])
def test_only_the_ends_of_the_coma_scale_are_read(scale: float, level: int | None) -> None:
    told = found("stay_coma", stay(), observation("9269-2", scale, "{score}", "2026-11-19T08:00:00Z"))
    assert (told.value if isinstance(told, FeatureValue) else None) == level


@pytest.mark.parametrize(
    ("codes", "disease"),
    [
        (["A41.9"], "Respiratory or multi-organ failure with sepsis"),
        (["A41.9", "C34.1"], "Multi-organ failure with malignancy"),
        (["C34.1", "J44.9"], "Lung cancer"),
        (["C18.2"], "Colon cancer"),
        (["I50.9", "J44.9"], "Heart failure"),
        (["J44.9"], "COPD"),
        (["J96.01"], "Respiratory or multi-organ failure with sepsis"),
        (["J96.01", "C50.9"], "Multi-organ failure with malignancy"),
        (["C50.9"], None),
        (["R40.20", "C34.1"], "Coma"),
        (["C34.1", "C18.2"], "Lung cancer"),
        (["C18.2", "K74.60"], "Colon cancer"),
        (["K74.60", "I50.9"], "Cirrhosis"),
        (["J40"], "COPD"),
        (["R40.20"], "Coma"),
        (["E11.9"], None),
    ],
)
def test_the_disease_of_the_stay_is_the_first_that_fits(codes: list[str], disease: str | None) -> None:
    told = found("admission_disease", stay(), *(diagnosis(code) for code in codes))
    assert (told.charted_unit if isinstance(told, FeatureValue) else None) == disease


def test_conditions_of_the_index_are_counted_once_each() -> None:
    assert value("comorbidity_count", stay(), diagnosis("I50.9"), diagnosis("I50.1"), diagnosis("J44.9")) == 2
