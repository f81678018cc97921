"""Services that are due by smoking, weight, pressure, glucose and risk: near each threshold."""

import pytest

from tests.cards.preventive.charts import (
    DAILY,
    FORMER,
    NEVER,
    OVERWEIGHT,
    RISK,
    Json,
    judged,
    number,
    pack_years,
    person,
    problem,
    result,
    smoking,
    state,
    taking,
)
from tests.fhir.mapping.charts import SNOMED

# Smoking


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((), ("not known", "not-charted")),
        ((smoking(DAILY),), ("not known", "not-charted")),
        ((smoking(NEVER),), ("not due", "risk")),
        ((smoking(NEVER), pack_years(40)), ("not due", "risk")),
        ((smoking(DAILY), pack_years(19.9)), ("not due", "risk")),
        ((smoking(DAILY), pack_years(20)), ("due", "never-seen")),
        ((smoking(FORMER), pack_years(30)), ("not known", "not-charted")),
        ((smoking(FORMER), smoking(DAILY, "2012-01-01"), pack_years(30)), ("due", "never-seen")),
        ((smoking(FORMER, "2011-11-20"), pack_years(30)), ("not due", "risk")),
        ((smoking("266927001"), pack_years(30)), ("not known", "not-charted")),
        ((problem("F17.210"), pack_years(30)), ("due", "never-seen")),
    ],
)
def test_lung_cancer_is_screened_by_pack_years_and_time(entries: tuple[Json, ...], expected: tuple[str, str]) -> None:
    assert state("lung-cancer", *entries) == expected


def test_pack_years_may_be_a_component_or_a_code_of_snomed() -> None:
    status = smoking(DAILY)
    part = {
        "code": {"coding": [{"system": "http://loinc.org", "code": "8664-5"}]},
        "valueQuantity": {"value": 30, "unit": "pack-years"},
    }
    assert state("lung-cancer", status | {"component": [part]}) == ("due", "never-seen")
    coded = pack_years(30, code={"coding": [{"system": SNOMED, "code": "401201003"}]})
    assert state("lung-cancer", status, coded) == ("due", "never-seen")


def test_to_ask_is_no_order() -> None:
    assert judged("tobacco").order is None


def test_men_who_never_smoked_are_not_screened_for_an_aneurysm() -> None:
    man = person("1958-11-20", "male")
    assert state("abdominal-aortic-aneurysm", smoking(NEVER), patient=man) == ("not due", "risk")
    assert state("abdominal-aortic-aneurysm", patient=man) == ("not known", "not-charted")


def test_a_non_smoker_may_have_smoked() -> None:
    man, answer = person("1958-11-20", "male"), result("72166-2", "Non-smoker", "2026-01-10")
    assert state("abdominal-aortic-aneurysm", answer, patient=man) == ("not known", "not-charted")
    assert state("abdominal-aortic-aneurysm", answer, smoking(DAILY, "2001-01-01"), patient=man)[0] == "due"


# Numbers


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((number("39156-5", 25.0, "kg/m2"),), ("due", "never-seen")),
        ((number("39156-5", 24.9, "kg/m2"),), ("not due", "risk")),
        ((), ("not known", "not-charted")),
        ((problem("E66.9"),), ("due", "never-seen")),
        ((OVERWEIGHT, number("4548-4", 5.7, "%")), ("not due", "abnormal")),
        ((OVERWEIGHT, number("4548-4", 5.6, "%")), ("not due", "done")),
        ((OVERWEIGHT, number("1558-6", 100, "mg/dL")), ("not due", "abnormal")),
        ((OVERWEIGHT, number("1558-6", 5.5, "mmol/L")), ("not due", "done")),
        ((OVERWEIGHT, number("2345-7", 140, "mg/dL")), ("due", "never-seen")),
    ],
)
def test_diabetes_is_screened_with_overweight_and_after_a_normal_result(
    entries: tuple[Json, ...], expected: tuple[str, str]
) -> None:
    assert state("diabetes", *entries) == expected


YOUNG = person("1990-01-01")


@pytest.mark.parametrize(
    ("entries", "patient", "expected"),
    [
        ((number("8480-6", 120, "mm[Hg]", "2024-01-01"),), YOUNG, "not due"),
        ((number("8480-6", 130, "mm[Hg]", "2024-01-01"),), YOUNG, "due"),
        ((number("8480-6", 129, "mm[Hg]", "2024-01-01"), number("8462-4", 80, "mm[Hg]", "2024-01-01")), YOUNG, "due"),
        ((number("8480-6", 120, "mm[Hg]", "2024-01-01"), OVERWEIGHT), YOUNG, "due"),
        ((number("8480-6", 120, "mm[Hg]", "2021-11-20"),), YOUNG, "due"),
        ((number("8480-6", 120, "mm[Hg]", "2021-11-21"),), YOUNG, "not due"),
        ((number("8480-6", 120, "mm[Hg]", "2024-01-01"),), person("1986-11-20"), "due"),
        ((number("8480-6", 120, "mm[Hg]", "2024-01-01"),), person("1986-11-21"), "not due"),
    ],
)
def test_the_pressure_is_measured_each_year_from_forty_or_with_a_raised_risk(
    entries: tuple[Json, ...], patient: Json, expected: str
) -> None:
    assert judged("hypertension", *entries, patient=patient).state == expected


def without(code: str) -> tuple[Json, ...]:
    return tuple(one for one in RISK if one["code"]["coding"][0]["code"] != code)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ((*RISK, taking("rosuvastatin 10 MG Oral Tablet")), ("not due", "done")),
        ((*RISK, problem("I25.10")), ("not due", "condition")),
        ((*RISK, problem("E78.01")), ("not due", "condition")),
        ((*RISK, problem("T46.6X5A")), ("not due", "condition")),
        ((*RISK, number("13457-7", 191, "mg/dL")), ("not due", "condition")),
        ((*RISK, number("13457-7", 190, "mg/dL")), ("due", "risk")),
        (without("2093-3"), ("not known", "not-charted")),
        ((*without("8480-6"), number("8480-6", 150, "mm[Hg]")), ("due", "risk")),
    ],
)
def test_a_statin_is_suggested_by_risk_and_a_risk_factor(
    resources: tuple[Json, ...], expected: tuple[str, str]
) -> None:
    assert state("statin", *resources, patient=person("1962-11-20", "male")) == expected


def test_a_statin_is_not_suggested_without_a_risk_factor_or_under_ten_in_a_hundred() -> None:
    numbers = tuple(one for one in RISK if one["resourceType"] == "Observation" and "valueQuantity" in one)
    assert state("statin", *numbers, smoking(NEVER), patient=person("1951-11-20", "male")) == ("not due", "risk")
    young = state("statin", *numbers, smoking(NEVER), problem("E78.5"), patient=person("1985-11-20"))
    assert young == ("not due", "risk")


def test_the_risk_says_by_which_equation() -> None:
    assert "PREVENT" in judged("statin", *RISK, patient=person("1962-11-20", "male")).text


def test_an_answer_by_code_alone_is_said_in_words() -> None:
    assert judged("tobacco", smoking("266919005")).text == "asked: never smoked (2026-01-10)"
