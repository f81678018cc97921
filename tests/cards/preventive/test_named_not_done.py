"""Entries that name a screening test which was not done, not to its end, or elsewhere at another time."""

import pytest

from tests.cards.preventive.charts import Json, judged, number, person, procedure, report, result, state

COLON = "colorectal-cancer"


@pytest.mark.parametrize(
    "entry",
    [
        procedure("Incomplete colonoscopy"),
        procedure("Incomplete colonoscopy", code="73761001"),
        procedure("Colonoscopy", status="stopped"),
        procedure("Colonoscopy", outcome={"text": "Cecum not reached"}),
        report("Colonoscopy", conclusion="Inadequate bowel prep, hepatic flexure only"),
    ],
)
def test_a_colonoscopy_that_was_not_done_to_its_end_is_repeated(entry: Json) -> None:
    found = judged(COLON, entry)
    assert found.because == "abnormal-result"
    assert found.text.startswith("Colonoscopy not complete (2026-01-10): repeat it")
    assert state(COLON, entry, procedure("Colonoscopy", "2026-03-01")) == ("not due", "done")
    assert judged(COLON, entry, patient=person("1945-01-01")).because == "age"


@pytest.mark.parametrize(
    "words", ["Colonoscopy without biopsy", "Colonoscopy for family history of polyps", "Colonoscopy due to anaemia"]
)
def test_words_about_how_or_why_it_was_done_do_not(words: str) -> None:
    assert state(COLON, procedure(words)) == ("not due", "done")


@pytest.mark.parametrize(
    "answer", ["Unsatisfactory for evaluation", "Not performed", "Specimen insufficient", "Unknown"]
)
def test_a_result_that_is_none_leaves_it_due(answer: str) -> None:
    assert state("cervical-cancer", result("10524-7", answer))[0] == "due"


def test_an_answer_that_the_patient_declined_is_a_refusal() -> None:
    assert state("hiv", result("56888-1", "Patient declined", "2026-05-01")) == ("not due", "declined")


def _asked(words: str, **value: object) -> Json:
    asked = result("", when="2026-10-01") | {"code": {"text": words}} | value
    if "valueCodeableConcept" not in value:
        del asked["valueCodeableConcept"]
    return asked


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (_asked("Date of last colonoscopy", valueDateTime="2019-05-01"), ("not due", "done")),
        (_asked("Date of last colonoscopy", valueDateTime="2012-05-01"), ("due", "interval-over")),
        (_asked("Year of last colonoscopy", valueString="2012"), ("due", "interval-over")),
        (_asked("Most recent colonoscopy", valueString="about 3 years ago"), ("not known", "not-charted")),
    ],
)
def test_what_the_patient_tells_of_an_earlier_test_counts_from_the_day_that_is_told(
    entry: Json, expected: tuple[str, str]
) -> None:
    assert state(COLON, entry) == expected


def test_a_test_of_a_year_is_shown_with_the_year_that_the_chart_has() -> None:
    assert judged(COLON, procedure("Colonoscopy", "2019", "73761001")).text.startswith("colonoscopy 2019, ")


def test_a_fasting_glucose_in_moles_counts_as_one_in_milligrams() -> None:
    chart = (number("39156-5", 28, "kg/m2"), number("14771-0", 5.0, "mmol/L", "2025-01-01"))
    assert state("diabetes", *chart) == ("not due", "done")
