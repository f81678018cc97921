"""A result beyond its limit shows a condition that nobody charted; an old, refused or overtaken one shows nothing."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from cards.rules.patient.session import PatientSession
from fhir.mapping import shown_by_results
from fhir.mapping.shown_by_results import ResultLimit, result_analytes, result_limits, shown_by_result
from fhir.terminology.analytes import ANALYTES
from tests.each import for_rows
from tests.fhir.builders import AS_OF, observation, record_of

Json = dict[str, Any]


def result(limit: ResultLimit, value: float, taken: datetime, **changed: Any) -> Json:
    unit = ANALYTES[limit.analyte].unit
    return observation(ANALYTES[limit.analyte].loinc[0], value, unit, taken.isoformat(), id=f"o{taken:%d%H}") | changed


OF_THE_DAY = {"sbp", "glucose", "lactate"}
OWN_ROWS = [limit for group, limits in result_limits().items() for limit in limits if limit.group == group]


@pytest.mark.parametrize("limit", OWN_ROWS, ids=lambda limit: f"{limit.group}-{limit.analyte}")
def test_an_old_result_shows_nothing(limit: ResultLimit) -> None:
    beyond = limit.limit * (1.02 if limit.side in ("gt", "ge") else 0.98)
    old = AS_OF - timedelta(days=limit.max_age_days + 1)
    assert shown_by_result(record_of(result(limit, beyond, old)), limit.group) is None


def test_a_result_that_was_taken_back_or_is_haemolysed_shows_nothing() -> None:
    (limit,) = [limit for limit in OWN_ROWS if limit.group == "hyperkalemia"]
    taken = AS_OF - timedelta(days=1)
    wrong = result(limit, 6.8, taken, status="entered-in-error")
    haemolysed = result(limit, 6.8, taken, note=[{"text": "Specimen haemolysed"}])
    assert shown_by_result(record_of(wrong), "hyperkalemia") is None
    assert shown_by_result(record_of(haemolysed), "hyperkalemia") is None


def test_a_group_is_shown_by_what_implies_it_and_a_rule_reads_it_as_a_condition() -> None:
    (limit,) = [limit for limit in OWN_ROWS if limit.analyte == "lvef"]
    record = record_of(result(limit, 35, AS_OF - timedelta(days=100)))
    hit = PatientSession(record, []).condition("heart_failure")
    assert hit is not None
    assert (hit.words, hit.source.partition("/")[0], hit.status) == ("LVEF 35 %", "Observation", "active")


@pytest.mark.parametrize("wrong", [{"group": "no group"}, {"analyte": "no analyte"}, {"side": "under"}])
def test_a_row_of_an_unknown_group_analyte_or_side_is_refused(wrong: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "group": "hyperkalemia",
        "analyte": "potassium",
        "side": "gt",
        "limit": "6",
        "max_age_days": "7",
        "source": "",
    }
    monkeypatch.setattr(shown_by_results, "table_rows", lambda _: [row | wrong])
    with pytest.raises(ValueError, match="line 2: an unknown group, analyte or side"):
        result_limits.__wrapped__()


def test_a_service_asks_for_the_results_that_can_show_its_conditions() -> None:
    assert result_analytes(["hyperkalemia", "heart_failure", "gout"]) == {"potassium", "lvef"}
    assert result_analytes(["no such group"]) == frozenset()


def test_every_limit_is_a_number_that_can_be_measured_and_has_its_source() -> None:
    for limit in OWN_ROWS:
        analyte = ANALYTES[limit.analyte]
        assert analyte.plausible_low < limit.limit < analyte.plausible_high
        assert len(limit.source) > 20
        assert limit.max_age_days >= (1 if limit.analyte in OF_THE_DAY else 7)


@for_rows(
    ("value", "is_shown"),
    [
        ({"valueString": "Positive"}, True),
        ({"valueCodeableConcept": {"text": "Reactive"}}, True),
        ({"valueString": "DETECTED"}, True),
        ({"valueCodeableConcept": {"text": "Non-reactive"}}, False),
        ({"valueString": "not detected"}, False),
        ({"valueString": "Negative"}, False),
        ({"valueString": "see report"}, False),
        ({"valueString": "interpretation not possible"}, False),
    ],
)
def test_an_antigen_that_is_positive_shows_the_infection(value: Json, is_shown: bool) -> None:
    (limit,) = [limit for limit in OWN_ROWS if limit.analyte == "hbsag"]
    answer = {key: item for key, item in result(limit, 1, AS_OF - timedelta(days=40)).items() if key != "valueQuantity"}
    session = PatientSession(record_of(answer | value), [])
    hit = session.condition("hepatitis_b")
    assert (hit.words if hit is not None else None) == ("HBsAg positive" if is_shown else None)


@for_rows(
    ("words", "answer"),
    [
        *(
            (text, 0.0)
            for text in ("None detected", "no longer detected", "not HIV positive", "nicht nachweisbar", "neg.")
        ),
        *((text, 0.0) for text in ("neither HIV-1 nor HIV-2 antibodies detected", "None", "nicht nachweisbar")),
        *((text, 1.0) for text in ("weakly positive", "pos.", "Repeatedly reactive", "Present", "reaktiv")),
        *((text, None) for text in ("Not determined", "not possible to interpret", "nicht bestimmt", "Never tested")),
        *((text, None) for text in ("neither confirmed nor excluded", "No determination made", "not presented")),
    ],
)
def test_an_answer_in_words_is_yes_or_no_or_none_at_all(words: str, answer: float | None) -> None:
    (limit,) = [limit for limit in OWN_ROWS if limit.analyte == "hbsag"]
    asked = {key: item for key, item in result(limit, 1, AS_OF).items() if key != "valueQuantity"}
    newest = record_of(asked | {"valueString": words}).newest("hbsag", 400)
    assert (newest.value if newest is not None else None) == answer
