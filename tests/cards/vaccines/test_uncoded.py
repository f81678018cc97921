"""Doses in words or without a day: they hold back an offer of their group, unless they are too old to be the dose."""

from datetime import UTC, datetime
from typing import Any

from cards.compose.vaccines import immunization_recommendation, vaccines_card
from cards.vaccines.due import VaccinesDue, vaccines_due
from cards.vaccines.knowledge import load_knowledge
from cards.vaccines.patient import ChartedPerson, read_person
from fhir.record.record import read_record
from fhir.terminology.medications import CVX
from tests.cards.compose.test_vaccines import IDENTITY
from tests.each import for_rows
from tests.fhir.builders import bundle, lean, made, subject_of

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def _due(
    words: str, when: str | None, *, born: str = "1959-05-05", as_of: datetime = AS_OF, **more: Any
) -> tuple[ChartedPerson, VaccinesDue]:
    given = {} if when is None else {"occurrenceDateTime": when}
    code = {"text": words} | ({"coding": [{"system": CVX, "code": more.pop("cvx")}]} if "cvx" in more else {})
    entry = made("Immunization", id="i", status="completed", vaccineCode=code, patient=subject_of("p"), **given, **more)
    person = made("Patient", id="p", birthDate=born, gender="female")
    charted = read_person(read_record({"all": lean(bundle(person, entry))}, "p", as_of))
    assert charted is not None
    return charted, vaccines_due(charted, as_of.date(), load_knowledge())


@for_rows(
    ("words", "when", "group"),
    [
        ("Shingrix", "2025-10-22", "Zoster"),
        ("Gürtelrose-Impfung", "2026", "Zoster"),
        ("zoster vaccine", "2017-10-20", "Zoster"),  # the day on which Shingrix was licensed
        ("vaccin zona", None, "Zoster"),
        ("Prevenar 20", "2025-02-01", "Pneumococcal"),
        ("Vacuna tétanos-difteria-tos ferina", "2019-02-01", "DTaP/Tdap/Td"),
        ("DKTP", "2019-02-01", "DTaP/Tdap/Td"),
        ("BMR-vaccinatie", "1990-02-01", "MMR"),
        ("Vaccino antinfluenzale", "2026-10-02", "Influenza"),
    ],
)
def test_a_dose_in_words_holds_its_group_back_and_is_named(words: str, when: str | None, group: str) -> None:
    charted, due = _due(words, when)
    assert [item.group for item in due.uncoded] == [group]
    offered = {item.forecast.group for item in (*due.due, *due.catch_up)} | {name for name, _ in due.of_season}
    assert group not in offered
    card = vaccines_card(due, charted, "p", IDENTITY, load_knowledge())
    line = f"- {due.uncoded[0].label}: not offered, recorded without a vaccine code or a date ({words}"
    assert line in (card.detail or "")
    saved = immunization_recommendation(due, "p", load_knowledge())["recommendation"]
    assert group not in {item["vaccineCode"][0]["text"] for item in saved}


def test_a_refused_entry_and_one_of_the_future_hold_nothing_back() -> None:
    assert _due("Shingrix", "2026-12-24")[1].uncoded == ()
    assert _due("Shingrix", None, cvx="187")[1].uncoded[0].group == "Zoster"
    assert _due("Shingrix", "2025-10-22", cvx="187")[1].uncoded == ()


@for_rows(("when", "is_of_season"), [("2025-10-02", True), ("2025-06-30", False), ("2024-10-02", False), (None, False)])
def test_of_a_season_that_the_release_has_only_a_dose_of_this_season_holds_back(
    when: str | None, is_of_season: bool
) -> None:
    _, due = _due("influenza vaccine", when, as_of=datetime(2025, 11, 20, 9, 0, tzinfo=UTC))
    assert ("Influenza" in {item.group for item in due.uncoded}) is is_of_season
    assert ("Influenza" in {item.forecast.group for item in due.due}) is not is_of_season
