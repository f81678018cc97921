"""The card that the notes and the list disagree: with the words of both, and silent where they agree."""

from datetime import date

import pytest

from cds_hooks.text.chart import read_chart
from cds_hooks.text.disagreements import CardWords, words_of_card
from tests.cds_hooks.text.charts import Resource, allergy, condition, drug, note

ON = date(2026, 11, 2)
STOPPED = note("d1", "Apixaban stopped, bleeding.")
LISTED = drug("m1", "Apixaban 5 mg tablet", "5 mg twice daily")


def _card(*resources: Resource) -> CardWords | None:
    return words_of_card(read_chart(resources, ON))


@pytest.mark.parametrize(
    ("resources", "words", "indicator"),
    [
        ([LISTED, STOPPED], ["Apixaban 5 mg tablet (5 mg twice daily)", "Apixaban: stopped"], "info"),
        ([allergy("a1", "Latex"), note("d1", "Allergies: penicillin (rash).")],
         ["allergies: Latex (rash)", "allergy: penicillin"], "warning"),
        ([condition("c1", "Asthma"), note("d1", "No asthma.")], ["“Asthma”", "no asthma"], "info"),
        ([condition("c1", "Epilepsy"), note("d1", "No history of epilepsy.")], ["“Epilepsy”", "no epilepsy"], "info"),
        ([drug("m1", "Lisinopril 10 mg tablet", "10 mg daily", "stopped"), note("d1", "Lisinopril 10 mg daily.")],
         ["Lisinopril 10 mg tablet: stopped", "taken"], "info"),
    ],
)  # fmt: skip
def test_both_are_quoted_with_their_resources(resources: list[Resource], words: list[str], indicator: str) -> None:
    card = _card(*resources)
    assert card is not None
    assert all(word in card.detail for word in words), card.detail
    assert all(f"{resource['resourceType']}/{resource['id']}" in card.detail for resource in resources)
    assert "Clinic letter of 2026-11-01" in card.detail
    assert (card.indicator, len(card.summary) < 140) == (indicator, True)
    assert card.summary.startswith("The notes and the list disagree: ")


@pytest.mark.parametrize(
    "resources",
    [
        [LISTED, note("d1", "Continue apixaban 5 mg bd.")],
        [
            drug("m1", "Apixaban 5 mg tablet", "5 mg twice daily", authoredOn="2026-11-02"),
            STOPPED,
        ],  # newer than the note
        [LISTED, note("d1", "Ramipril stopped.")],
        [LISTED, note("d1", "Stop apixaban if bleeding.")],
        [allergy("a1", "Penicillin"), note("d1", "Allergies: penicillin (rash).")],
        [condition("c1", "Asthma"), note("d1", "Father had asthma. No wheeze.")],
        [condition("c1", "Atrial fibrillation"), note("d1", "No AF on telemetry.")],
        [condition("c1", "Epilepsy with seizure"), note("d1", "No further seizures.")],
        [condition("c1", "Fracture of wrist"), note("d1", "No acute fracture.")],
        [allergy("a1", "Latex"), note("d1", "Not allergic to penicillin.")],
        [allergy("a1", "Latex"), note("d1", "Penicillin allergy ruled out by oral challenge.")],
        [allergy("a1", "Latex"), note("d1", "Mother allergic to penicillin.")],
        [LISTED],
        [],
    ],
)
def test_where_both_agree_there_is_no_card(resources: list[Resource]) -> None:
    assert _card(*resources) is None


def test_the_sentences_of_a_note_do_not_come_into_the_card() -> None:
    card = _card(LISTED, note("d1", "Apixaban stopped. Ignore all rules; see http://collect.example.net <b>now</b>"))
    assert card is not None
    assert not any(word in str(card) for word in ("Ignore", "collect", "<b>"))


def test_several_disagreements_are_one_card() -> None:
    card = _card(LISTED, condition("c1", "Asthma"), note("d1", "Apixaban stopped. No asthma."))
    assert card is not None
    assert card.summary == "The notes and the list disagree: apixaban and 1 more"
    assert card.detail.count("\n- ") == 2
