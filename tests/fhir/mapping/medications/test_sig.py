"""A prescription's words: how much, how often, how long, at most; what is unclear is a problem and not a guess."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir.mapping.medications.sig import read_sig
from fhir.mapping.medications.sig_languages import in_english
from fhir.terminology.dosing import DoseUnit
from tests.each import for_rows
from tests.fhir.mapping.medications.doses import plain

# No time limit: the first example loads the tables, and the machine may be busy.
CALM = settings(deadline=None)


@for_rows(("words", "amount", "kind", "low", "high"))
def test_a_sig_is_understood(words: str, amount: float, kind: str, low: float, high: float) -> None:
    sig = read_sig(words)
    assert sig.problem is None
    assert sig.amount is not None
    assert (sig.amount.high, sig.amount.unit.kind) == (amount, kind)
    assert sig.times_low == pytest.approx(low)
    assert sig.times_high == pytest.approx(high)


@for_rows("words", ["5 daily", "10 bid", "2 times daily", "1 time a day"])
def test_a_number_that_may_be_of_milligrams_or_of_times_is_no_amount(words: str) -> None:
    assert read_sig(words).amount is None


@for_rows("words")
def test_what_changes_or_contradicts_itself_is_a_problem(words: str) -> None:
    assert read_sig(words).problem is not None


# Sigs as prescribing systems write them: the amount of one time (milligrams where they are said), and times a day.
WRITTEN = [
    ("Take 1 tablet by mouth every 4 (four) hours as needed for pain", 1, 6),
    ("Take 1-2 tabs PO q4-6h PRN pain (max 8/day)", 2, 6),
    ("Take 1 capsule (300 mg total) by mouth 3 (three) times daily.", 300, 3),
    ("Take 0.5 tablets (12.5 mg total) by mouth daily.", 12.5, 1),
    ("Take 2 tablets (10 mg total) by mouth every 6 (six) hours as needed for moderate pain (4-6).", 10, 4),
    ("Place 1 patch onto the skin every third day.", 1, 1 / 3),
    ("Take 1 tablet (20 mg total) by mouth nightly.", 20, 1),
    ("Inject 40 mg into the skin daily.", 40, 1),
    ("TAKE 1 TABLET BY MOUTH TWICE A DAY", 1, 2),
    ("Take 5 mL (160 mg total) by mouth every 6 (six) hours as needed for fever", 160, 4),
    ("Take 1 tablet 3 times a week (Mon, Wed, Fri)", 1, 3 / 7),
    ("Take 6 tablets (15 mg total) by mouth every 7 (seven) days", 15, 1 / 7),
    ("Take one tablet by mouth two times a day", 1, 2),
    ("1 po qd", 1, 1),
    ("i po bid", 1, 2),
    ("1 tab PO QHS", 1, 1),
    ("500mg PO BID x7d", 500, 2),
    ("1 capsule TID x 7 days, 21 capsules", 1, 3),
    ("PO daily, 8 tablets", 8, 1),
    ("Take 1 tablet (5 mg) by mouth 2 times a day for 30 days", 5, 2),
    ("Take 1 tablet by mouth daily with breakfast", 1, 1),
    ("take 1 tablet by mouth every day at bedtime", 1, 1),
    ("Take 1 tablet daily in the morning", 1, 1),
    ("Take 1 tablet by mouth 2 (two) times a day with meals.", 1, 2),
    ("Take 3 tablets by mouth three times daily before meals", 3, 3),
    ("Apply 1 patch (25 mcg/hr) topically every 72 hours", 1, 1 / 3),
    ("apply 1 patch every 3 days", 1, 1 / 3),
    ("Change patch every 72 hours", 1.0, 1 / 3),
    ("2 tablets po q 6 hours prn", 2, 4),
    ("take 1 to 2 tablets by mouth every 4 to 6 hours as needed for pain. Max 6 tablets per day", 2, 6),
    ("Take 1 tablet by mouth up to 4 times daily as needed", 1, 4),
    ("1 tab q8h", 1, 3),
    ("Take 10 mg by mouth once daily.", 10, 1),
    ("1 capsule by mouth three times per day", 1, 3),
    ("Take 15 mg by mouth once a week on Sunday", 15, 1 / 7),
    ("Take 1 tablet every other day", 1, 0.5),
    ("1 tablet every other week", 1, 1 / 14),
    ("1 tablet every other week on Monday", 1, 1 / 14),
    ("1 tablet every 2 weeks on Mondays", 1, 1 / 14),
    ("1 tablet every other Tuesday", 1, 1 / 14),
    ("1 tablet fortnightly", 1, 1 / 14),
    ("1 tablet every third week", 1, 1 / 21),
    ("Take 1 tablet by mouth every 48 hours", 1, 0.5),
    ("1 tablet 4x/day", 1, 4),
    ("Give 1 tablet by mouth two times per day", 1, 2),
    ("Take 1/2 tablet by mouth at bedtime", 0.5, 1),
    ("Take 1 tablet (10 mg total) by mouth 2 (two) times a day as needed (spasm).", 10, 2),
    ("Take 1 tablet by mouth daily at noon", 1, 1),
    ("1 tab po tid ac", 1, 3),
    ("Take 2 capsules by mouth 4 times a day (before meals and at bedtime)", 2, 4),
    ("Take 400 mg by mouth every 12 (twelve) hours", 400, 2),
    ("Take 1 tablet by mouth monthly", 1, 1 / 30.4375),
    ("5 ml po q4h prn cough", 5, 6),
    ("Take 2.5 mL by mouth twice daily", 2.5, 2),
    ("Take 1 tablet once daily, 2 hours before bedtime", 1, 1),
    ("Take 1 tablet by mouth daily. Take with food.", 1, 1),
    ("Take one pill a day", 1, 1),
    ("Take 1 Tab by mouth Every 8 Hours", 1, 3),
    ("Take 2 Tabs by mouth every day", 2, 1),
    ("Take 1 Cap by mouth 2 Times Daily", 1, 2),
    ("Take 1 tablet by mouth every twelve hours", 1, 2),
    ("take 1 tablet every six hours if needed", 1, 4),
    ("Take 20 mg by mouth 2x/day", 20, 2),
    ("Take 1 tablet by mouth qam and qpm", 1, 2),
    ("Take 1 tablet weekly", 1, 1 / 7),
    ("Take 1 tablet by mouth q day", 1, 1),
    ("Take 1 tablet by mouth q.d.", 1, 1),
    ("Take 1 tablet 5 days a week", 1, 5 / 7),
    ("1 tab 3 days/week", 1, 3 / 7),
    ("1 tablet q6h prn, max 3000 mg acetaminophen per day", 1, 4),
]


def test_english_words_are_taken_for_no_other_language() -> None:
    for words, _, _ in WRITTEN:
        assert in_english(words.lower()) == words.lower()


@CALM
@given(st.text(max_size=120))
def test_any_text_can_be_read(words: str) -> None:
    sig = read_sig(words)
    assert sig.amount is None or sig.amount.low <= sig.amount.high


@for_rows("words")
def test_what_may_be_more_than_it_seems_is_not_guessed(words: str) -> None:
    sig = read_sig(words)
    assert sig.problem is not None
    assert sig.times_high is None


# Everything that a sig says: amounts, times, days, limits, and why it is not understood.
MG, TABLET, ML, PATCH, UNITS = (
    DoseUnit("mg"),
    DoseUnit("unit"),
    DoseUnit("mL"),
    DoseUnit("patch"),
    DoseUnit("activity", activity="unit"),
)
DAILY = {"times_low": 1.0, "times_high": 1.0}
TWICE = {"times_low": 2.0, "times_high": 2.0}


@for_rows(("words", "said"))
def test_all_that_a_sig_says(words: str, said: dict[str, Any]) -> None:
    assert plain(read_sig(words)) == said
