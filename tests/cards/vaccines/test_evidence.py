"""Immunity that a laboratory's result shows, and vaccines that the patient declines, one condition at a time."""

from datetime import date, timedelta
from typing import Any

from cards.vaccines.evidence import (
    DeclinedVaccine,
    declined_vaccines,
    groups_of,
    immunity_shown,
    immunity_stated,
    severe_reactions_to,
)
from cards.vaccines.knowledge import load_knowledge
from fhir.record.datatypes import CodeableConcept, Coding
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import AS_OF, SUBJECT, observation, record_of

Json = dict[str, Any]
CVX = "http://hl7.org/fhir/sid/cvx"
INFECTED, MEASLES, ANTIBODY = "5196-1", "20479-2", "16935-9"
TODAY = AS_OF.date()


def _result(code: str = MEASLES, **more: Any) -> Json:
    concept = {"coding": [{"system": "urn:x", "code": "x"}, {"system": "http://loinc.org", "code": code}], "text": "T"}
    valued = {"valueQuantity", "valueCodeableConcept", "interpretation"} & set(more)
    return observation(concept, when="2026-05-03", id="o1", valueString=None if valued else "Positive") | more


def _shown(**more: Any) -> list[tuple[str, date | None, str, str]]:
    return list(immunity_shown(record_of(_result(**more))))


def _interpreted(*codes: str) -> list[Json]:
    return [{"coding": [{"code": code} for code in codes]}]


def test_a_positive_result_is_cdc_s_observation_with_its_day() -> None:
    assert _shown() == [("020", date(2026, 5, 3), "Observation/o1", "T")]
    assert _shown(code=INFECTED)[0][0] == "019"
    assert _shown(code="2823-3") == []


@for_rows(
    "more",
    [
        {"effectiveDateTime": None},
        {"effectiveDateTime": (AS_OF + timedelta(days=3)).isoformat()},
        {"status": "entered-in-error"},
        {"status": "registered"},
    ],
)
def test_a_result_without_a_time_or_of_the_future_or_that_is_none_shows_nothing(more: Json) -> None:
    assert _shown(**more) == []


@for_rows(
    ("words", "shows"),
    [
        ("Positive", True), ("POS", True), ("Reactive", True), ("Detected", True), ("immune", True), ("present", True),
        ("Negative", False), ("Not detected", False), ("Non-reactive", False), ("nonreactive", False),
        ("Equivocal", False), ("positive, borderline", False), ("indeterminate", False), ("neg", False),
        ("see report", False), ("", False),
    ],
)  # fmt: skip
def test_the_words_of_a_result(words: str, shows: bool) -> None:
    assert bool(_shown(valueString=words)) is shows
    assert bool(_shown(valueCodeableConcept={"text": words})) is shows


@for_rows(
    ("codes", "shows"),
    [
        (("POS",), True), (("RR",), True), (("WR",), True), (("DET",), True), (("NEG",), False), (("NR",), False),
        (("ND",), False), (("IND",), False), (("E",), False), (("POS", "E"), False), (("H",), False),
    ],
)  # fmt: skip
def test_the_interpretation_of_a_result(codes: tuple[str, ...], shows: bool) -> None:
    assert bool(_shown(interpretation=_interpreted(*codes))) is shows


def test_the_interpretation_goes_before_the_words() -> None:
    assert _shown(interpretation=_interpreted("POS"), valueString="Negative")
    assert not _shown(interpretation=_interpreted("NEG"), valueString="Positive")


@for_rows(
    ("code", "quantity", "shows"),
    [
        (ANTIBODY, {"value": 10, "unit": "mIU/mL"}, True),
        (ANTIBODY, {"value": 9.9, "unit": "mIU/mL"}, False),
        (ANTIBODY, {"value": 10, "code": "m[IU]/mL", "unit": "x"}, True),
        (ANTIBODY, {"value": 12, "unit": "IU/L"}, True),
        (ANTIBODY, {"value": 12, "unit": "[IU]/L"}, True),
        (ANTIBODY, {"value": 12, "unit": "ng/mL"}, False),
        (ANTIBODY, {"value": 12}, False),
        (ANTIBODY, {"unit": "mIU/mL"}, False),
        (ANTIBODY, {"value": 1000, "unit": "mIU/mL", "comparator": ">"}, True),
        (ANTIBODY, {"value": 1000, "unit": "mIU/mL", "comparator": ">="}, True),
        (ANTIBODY, {"value": 12, "unit": "mIU/mL", "comparator": "<"}, False),
        (ANTIBODY, {"value": 12, "unit": "mIU/mL", "comparator": "<="}, False),
        (MEASLES, {"value": 300, "unit": "mIU/mL"}, False),
    ],
)
def test_the_quantity_of_a_result(code: str, quantity: Json, shows: bool) -> None:
    assert bool(_shown(code=code, valueQuantity=quantity)) is shows


def test_a_quantity_of_a_test_without_a_limit_is_read_by_its_words() -> None:
    assert _shown(valueQuantity={"value": 3, "unit": "AU"}, valueString="positive")
    assert not _shown(code=ANTIBODY, valueQuantity={"value": 3, "unit": "mIU/mL"}, valueString="positive")


# Declined


def _not_done(reason: Json | None, when: str | None = "2026-05-03", vaccine: Json | None = None, **more: Any) -> Json:
    return {
        "resourceType": "Immunization", "id": "i1", "status": "not-done", "patient": SUBJECT,
        "vaccineCode": vaccine or {"coding": [{"system": CVX, "code": "03"}]}, "occurrenceDateTime": when,
        "statusReason": reason,
    } | more  # fmt: skip


def _declined(*resources: Json) -> dict[str, DeclinedVaccine]:
    return declined_vaccines(record_of(*resources), load_knowledge())


_REFUSAL = {"coding": [{"code": "PATOBJ"}]}


@for_rows(
    ("reason", "is_declined"),
    [
        *[({"coding": [{"code": code}]}, True) for code in ("PATOBJ", "PHILISOP", "RELIG", "105480006", "183944003",
                                                             "416432009")],
        ({"text": "Patient refused"}, True), ({"text": "declined by parent"}, True), ({"text": "patient choice"}, True),
        ({"coding": [{"code": "MEDPREC"}]}, False), ({"text": "out of stock"}, False), (None, False),
    ],
)  # fmt: skip
def test_what_the_patient_declines(reason: Json | None, is_declined: bool) -> None:
    expected = {"MMR": DeclinedVaccine("MMR", "2026-05-03")} if is_declined else {}
    assert _declined(_not_done(reason)) == expected


def test_a_refusal_holds_for_a_year() -> None:
    def when(days: int) -> str:
        return (TODAY - timedelta(days=days)).isoformat()

    assert _declined(_not_done(_REFUSAL, when(365))) == {"MMR": DeclinedVaccine("MMR", when(365))}
    assert _declined(_not_done(_REFUSAL, when(366))) == {}
    assert _declined(_not_done(_REFUSAL, when(-3))) == {}
    assert _declined(_not_done(_REFUSAL, None)) == {}


def test_the_latest_refusal_is_the_one_that_is_shown() -> None:
    days = ("2026-05-03", "2026-07-03", "2026-06-03")
    entries = [_not_done(_REFUSAL, day, id=f"i{day}") for day in days]
    assert _declined(*entries) == {"MMR": DeclinedVaccine("MMR", "2026-07-03")}


def test_a_vaccine_in_words_is_read_without_the_refusal() -> None:
    words = {"text": "Influenza vaccine declined"}
    assert list(_declined(_not_done(_REFUSAL, vaccine=words))) == ["Influenza"]


def test_a_problem_that_is_a_refusal_counts_until_it_is_over() -> None:
    problem = builders.problem("Refused influenza vaccine", id="c1", onsetDateTime="2026-10-01")
    assert _declined(problem) == {"Influenza": DeclinedVaccine("Influenza", "2026-10-01")}
    assert _declined(problem | {"clinicalStatus": {"coding": [{"code": "resolved"}]}}) == {}
    assert _declined(problem | {"code": {"text": "Influenza"}}) == {}
    assert _declined({**problem, "onsetDateTime": None}) == {}


def test_a_dose_that_was_not_given_because_the_patient_is_immune() -> None:
    immune = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "IMMUNE"}]}
    knowledge = load_knowledge()
    assert immunity_stated(record_of(_not_done(immune)), knowledge) == {"MMR"}
    assert immunity_stated(record_of(_not_done(_REFUSAL)), knowledge) == frozenset()
    assert immunity_stated(record_of(_not_done(None)), knowledge) == frozenset()
    assert groups_of(None, knowledge) == frozenset()
    assert groups_of(CodeableConcept((Coding(CVX, "21"),)), knowledge) == {"Varicella"}


def test_a_severe_reaction_is_of_the_patient() -> None:
    assert severe_reactions_to("hepatitis B vaccine") == ["097"]
    assert severe_reactions_to("influenza vaccine") == ["085"], "not those of one kind of it"
    for words in ("peanut", "no reaction to MMR", "mother allergic to MMR", "MMR vaccine ruled out"):
        assert severe_reactions_to(words) == []
