"""Features of the current stay with their whole evidence: source, date and words, or why there is none."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import NOT_FOUND, FeatureValue, Missing, map_features
from fhir.mapping.features.stays import EarlierUse, HospitalUse, StayDiagnosis
from fhir.mapping.stays import discharge_destination, procedure_in_stay
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


@pytest.mark.parametrize("reference", ["https://ehr.example/fhir/Encounter/now", "Encounter/now/_history/4"])
def test_a_diagnosis_may_name_the_stay_with_a_server_or_a_version(reference: str) -> None:
    assert value("stay_heart_failure", stay(), diagnosis("I50.9") | {"encounter": {"reference": reference}}) == 1.0


@for_rows(
    ("code", "place"),
    [("home", 0), ("01", 0), ("1", 0), ("06", 1), ("snf", 3), ("03", 3), ("SKILLED NURSING FACILITY", 3), ("REHAB", 5)],
)
def test_where_the_stay_ends_is_read_from_three_code_systems(code: str, place: int) -> None:
    assert value("discharge_destination", stay(disposition=code)) == place


@for_rows("code", ["oth", "30", "hosp", "exp", "nonsense", "ADMITTED"])
def test_what_is_no_destination_of_the_study_is_missing(code: str) -> None:
    assert isinstance(found("discharge_destination", stay(disposition=code)), Missing)


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


@for_rows(
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


@for_rows(
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


def test_conditions_of_the_index_are_counted_once_each() -> None:
    assert value("comorbidity_count", stay(), diagnosis("I50.9"), diagnosis("I50.1"), diagnosis("J44.9")) == 2


START = "2026-11-15T08:00:00Z"


def procedure(when: str | None, identifier: str | None = "p", **more: Any) -> dict[str, Any]:
    resource = builders.procedure("Cardioversion", "180325003", when=when, id=identifier) | more
    return {name: part for name, part in resource.items() if part is not None}


def counted(name: str, value: float, words: str, source: str, when: str = START) -> FeatureValue:
    return FeatureValue(FEATURES[name], value, when, source, "", value, words)


def test_days_are_those_of_the_stay() -> None:
    name = "length_of_stay_days"
    assert found(name, stay()) == counted(name, 5.0, "days", "Encounter/now")
    one_day = stay(start="2026-11-19T23:00:00Z")
    assert found(name, one_day) == counted(name, 1.0, "day", "Encounter/now", "2026-11-19T23:00:00Z")
    absent = Missing(FEATURES[name], "absent", "Days in hospital: no stay in hospital is going on.")
    assert found(name) == absent
    unknown = Missing(FEATURES[name], "unknown", "Days in hospital: visits and stays are not available.")
    record = record_of(stay(), as_of=NOW).with_requested(frozenset({"Procedure"}))
    assert FEATURES[name].read(record) == unknown
    before = FEATURES["admissions_12m"]
    text = f"{before.words}: visits and stays are not available."
    assert before.read(record) == Missing(before, "unknown", text)


@pytest.mark.parametrize(("most", "is_refused"), [(5.0, False), (4.9, True)])
def test_more_than_is_plausible_is_refused(most: float, is_refused: bool) -> None:
    from fhir.mapping.stays import length_of_stay

    feature = HospitalUse("f", "Days", "a test", plausible_high=most, count=length_of_stay)
    read = feature.read(record_of(stay(), as_of=NOW))
    text = "Days: 5 days is outside the plausible range: not used."
    refused = Missing(feature, "refused", text, implausible=True)
    assert read == (refused if is_refused else FeatureValue(feature, 5.0, START, "Encounter/now", "", 5.0, "days"))
    assert feature.lint() == []
    silent = HospitalUse("f", "Days", "a test")
    assert silent.lint() == ["f: does not say what it counts"]
    assert EarlierUse("f", "Stays", "a test").lint() == []
    with pytest.raises(NotImplementedError):
        silent.read(record_of(stay(), as_of=NOW))


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


def test_procedures_that_were_not_asked_for_are_unknown() -> None:
    feature = FEATURES["procedure_in_stay"]
    record = record_of(stay(), as_of=NOW).with_requested(frozenset({"Encounter"}))
    text = "Procedure in the stay: procedures are not available."
    assert feature.read(record) == Missing(feature, "unknown", text)
    assert isinstance(feature, HospitalUse)
    assert feature.count is procedure_in_stay
    assert isinstance(FEATURES["length_of_stay_days"].read(record), FeatureValue)


def test_how_the_stay_began_names_what_says_so() -> None:
    name = "admitted_as_emergency"
    visit = stay("ed", "EMER", start="2026-11-15T02:00:00Z", end="2026-11-15T08:10:00Z")
    urgent = stay() | {"priority": {"coding": [{"code": "UR"}]}}
    source = stay() | {"hospitalization": {"admitSource": {"coding": [{"code": "emd"}]}}}
    assert [found(name, *chart) for chart in ([stay(), visit], [source], [urgent], [stay()])] == [
        counted(name, 1.0, "through the emergency department", "Encounter/ed"),
        counted(name, 1.0, "from the emergency department", "Encounter/now"),
        counted(name, 1.0, "urgent", "Encounter/now"),
        counted(name, 0.0, "not charted as an emergency", "Encounter/now"),
    ]


@for_rows(
    ("name", "code", "start", "counts"),
    [
        ("ed_visits_6m", "EMER", "2026-05-21T21:00:00Z", True),  # 182.5 days before the call
        ("ed_visits_6m", "EMER", "2026-05-21T15:00:00Z", False),  # 182.75
        ("ed_visits_12m", "EMER", "2025-11-20T06:00:00Z", True),  # 365.125
        ("ed_visits_12m", "EMER", "2025-11-20T02:00:00Z", False),  # 365.29
        ("admissions_12m", "IMP", "2025-11-20T06:00:00Z", True),
        ("admissions_12m", "IMP", "2025-11-20T02:00:00Z", False),
        ("outpatient_visits_12m", "AMB", "2025-11-20T06:00:00Z", True),
        ("outpatient_visits_12m", "AMB", "2025-11-20T02:00:00Z", False),
    ],
)
def test_visits_count_for_half_a_year_or_a_year(name: str, code: str, start: str, counts: bool) -> None:
    visit = stay("v", code, start=start, end=start.replace(":00:00Z", ":30:00Z"))
    read = found(name, visit)
    assert isinstance(read, FeatureValue)
    assert bool(read.value) is counts


def test_a_diagnosis_of_the_stay_is_shown_with_its_date_and_source() -> None:
    feature = FEATURES["stay_heart_failure"]
    dated = diagnosis("I50.9", onsetDateTime="2026-11-16", recordedDate="2026-11-17")
    recorded, bare = diagnosis("I50.9", recordedDate="2026-11-17"), diagnosis("I50.9")
    nameless = {name: part for name, part in bare.items() if name != "id"}
    sources = [("2026-11-16", dated, "Condition/c-I50-9"), ("2026-11-17", recorded, "Condition/c-I50-9"),
               (START, bare, "Condition/c-I50-9"), (START, nameless, "Encounter/now")]  # fmt: skip
    for when, resource, source in sources:
        value = FeatureValue(feature, 1.0, when, source, "I50.9", 1.0, "condition I50.9")
        assert found(feature.name, stay(), resource) == value
    no = FeatureValue(feature, 0.0, "2026-11-20", "Patient/p1", "", 0.0, NOT_FOUND, is_found=False)
    assert found(feature.name, stay(), diagnosis("E11.9")) == no
    missing = [found(feature.name, *chart) for chart in ([stay()], [bare])]
    assert missing == [
        Missing(feature, "absent", "Heart failure in this stay: no diagnosis of this stay is charted."),
        Missing(feature, "absent", "Heart failure in this stay: no stay in hospital is going on."),
    ]
    record = record_of(stay(), bare, as_of=NOW).with_requested(frozenset({"Encounter"}))
    text = "Heart failure in this stay: the diagnoses are not available."
    assert feature.read(record) == Missing(feature, "unknown", text)
    assert feature.source_words == "Condition.code; condition groups heart_failure"
    assert StayDiagnosis("f", "F", "a test", groups=("heart", "diabetes")).lint() == [
        "f: condition group 'heart' is not in tables/condition_groups.csv"
    ]
    assert StayDiagnosis("f", "F", "a test").lint() == ["f: names no condition group"]


def test_a_diagnosis_counts_from_its_onset_or_its_record() -> None:
    early = diagnosis("I50.9", onsetDateTime="2026-11-16", recordedDate="2026-11-21")
    late = diagnosis("I50.9", onsetDateTime="2026-11-21", recordedDate="2026-11-16")
    assert isinstance(found("stay_heart_failure", stay(), early), FeatureValue)
    assert isinstance(found("stay_heart_failure", stay(), late), Missing)


def test_where_the_stay_ends_is_shown_with_its_place_among_the_choices() -> None:
    feature = FEATURES["discharge_destination"]
    place, choice = feature.choices.index("Skilled nursing facility"), "Skilled nursing facility"
    value = FeatureValue(feature, place, START, "Encounter/now", "skilled_nursing", place, choice)
    assert found(feature.name, stay(disposition="snf")) == value
    not_yet = Missing(feature, "absent", "Where the stay ends is not known yet.")
    assert [found(feature.name, *chart) for chart in ([stay()], [], [stay(disposition="exp")])] == [not_yet] * 3
    by_words = stay() | {"hospitalization": {"destination": {"display": "Skilled nursing facility"}}}
    assert found(feature.name, by_words) == value
    both = stay() | {
        "hospitalization": {
            "dischargeDisposition": {"coding": [{"code": "home"}]},
            "destination": {"display": "Skilled nursing facility"},
        }
    }
    home = found(feature.name, both)
    assert isinstance(home, FeatureValue)
    assert home.code == "home"
