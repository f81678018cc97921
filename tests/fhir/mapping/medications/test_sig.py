"""A prescription's words: how much, how often, how long, at most; what is unclear is a problem and not a guess."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir.mapping.medications.sig import (
    BY_PATIENT,
    LEFT_OPEN,
    SLIDING_SCALE,
    TITRATED,
    SigAmount,
    read_sig,
)
from fhir.mapping.medications.sig_languages import in_english
from fhir.terminology.dosing import DoseUnit
from tests.each import for_rows, rows_of

# No time limit: the first example loads the tables, and the machine may be busy.
CALM = settings(deadline=None)


@for_rows(
    ("words", "amount", "kind", "low", "high"),
    rows_of(__file__, "a_sig_is_understood"),
)
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


@for_rows(
    "words",
    rows_of(__file__, "what_changes_or_contradicts_itself_is_a_problem"),
)  # fmt: skip
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


@for_rows(
    "words",
    rows_of(__file__, "what_may_be_more_than_it_seems_is_not_guessed"),
)  # fmt: skip
def test_what_may_be_more_than_it_seems_is_not_guessed(words: str) -> None:
    sig = read_sig(words)
    assert sig.problem is not None
    assert sig.times_high is None


# Everything that a sig says, worked out by hand: amounts, times, days, limits, and why it is not understood.
MG, TABLET, ML, PATCH, UNITS = (
    DoseUnit("mg"),
    DoseUnit("unit"),
    DoseUnit("mL"),
    DoseUnit("patch"),
    DoseUnit("activity", activity="unit"),
)
DAILY = {"times_low": 1.0, "times_high": 1.0}
TWICE = {"times_low": 2.0, "times_high": 2.0}
THRICE = {"times_low": 3.0, "times_high": 3.0}
FOUR = {"times_low": 4.0, "times_high": 4.0}


def _amount(amount: SigAmount | None) -> Any:
    return (pytest.approx(amount.low), pytest.approx(amount.high), amount.unit) if amount is not None else None


def _said(words: str) -> dict[str, Any]:
    """All that the sig says, without what it does not say and without places in the text."""
    sig = read_sig(words)
    said_words: dict[str, Any] = {
        "parts": [(_amount(part), low, high) for part, low, high in sig.parts], "amount": _amount(sig.amount),
        "times_low": sig.times_low, "times_high": sig.times_high, "total_per_day": sig.total_per_day,
        "single": sig.single, "as_needed": sig.as_needed, "days": sig.days, "maximum": _amount(sig.maximum),
        "on_days": set(sig.on_days), "problem": sig.problem.text if sig.problem is not None else None,
    }  # fmt: skip
    return {name: value for name, value in said_words.items() if value}


def _of(low: float, unit: DoseUnit, high: float | None = None) -> tuple[float, float, DoseUnit]:
    return (low, low if high is None else high, unit)


SEVERAL = {"problem": "the words name several amounts"}
FREQUENCIES = {"problem": "the words name several frequencies"}
CHANGING = {"problem": "the dose changes over time or is left open"}
DAYS_UNCLEAR = {"problem": "the words name single days of the week"}


@for_rows(
    ("words", "expected"),
    [
        ("500 mg twice daily", {"amount": _of(500, MG), **TWICE}),
        ("Take 1-2 tablets by mouth twice daily", {"amount": _of(1, TABLET, 2), **TWICE}),
        ("2 to 1 tablets twice daily", {"amount": _of(1, TABLET, 2), **TWICE}),
        ("0.5 to 1 tab daily", {"amount": _of(0.5, TABLET, 1), **DAILY}),
        ("two 500 mg tablets daily", {"amount": _of(1000, MG), **DAILY}),
        ("2 x 500 mg daily", {"amount": _of(1000, MG), **DAILY}),
        ("1 tablet", {"amount": _of(1, TABLET)}),
        ("twice daily", TWICE),
        ("", {}),
        # A mass that says the same again.
        ("1 tablet (500 mg) daily", {"amount": _of(500, MG), **DAILY}),
        ("2 tablets (500 mg) daily", {"amount": _of(2, TABLET), **DAILY}),
        ("500 mg (1 tab) daily", {"amount": _of(500, MG), **DAILY}),
        ("1-2 tablets (500 mg) daily", {"amount": _of(1, TABLET, 2), **DAILY}),
        ("2 tablets (1000 mg total) daily", {"amount": _of(1000, MG), **DAILY}),
        ("1 patch (25 mcg/hr) daily", {"amount": _of(1, PATCH), **DAILY}),
        ("0.1 mL (10 units) daily", {"amount": _of(10, UNITS), **DAILY}),
        ("10 units = 0.1 mL daily", {"amount": _of(10, UNITS), **DAILY}),
        ("1 spray in each nostril daily", {"amount": _of(2, DoseUnit("actuation")), **DAILY}),
        ("1 spray in one nostril daily", {"amount": _of(1, DoseUnit("actuation")), **DAILY}),
        # Before and after the verb.
        ("5 mL swish and swallow daily", {"amount": _of(5, ML), **DAILY}),
        ("500 mg tablet, take 2 tablets daily", {"amount": _of(2, TABLET), **DAILY}),
        # As needed, for how long, once.
        ("1 tablet q6h prn", {"amount": _of(1, TABLET), **FOUR, "as_needed": True}),
        ("up to 2 tablets daily", {"amount": _of(2, TABLET), **DAILY, "as_needed": True}),
        ("1 tablet up to 3 times a day", {"amount": _of(1, TABLET), **THRICE, "as_needed": True}),
        ("1 tablet daily for 7 days", {"amount": _of(1, TABLET), **DAILY, "days": 7.0}),
        ("1 tablet daily for 2 weeks", {"amount": _of(1, TABLET), **DAILY, "days": 14.0}),
        ("1 tablet daily x 5-7 days", {"amount": _of(1, TABLET), **DAILY, "days": 7.0}),
        ("1 tablet daily, 10 day course", {"amount": _of(1, TABLET), **DAILY, "days": 10.0}),
        ("1 tab bid x7d", {"amount": _of(1, TABLET), **TWICE, "days": 7.0}),
        ("1 tab bid × 10 days", {"amount": _of(1, TABLET), **TWICE, "days": 10.0}),
        ("1 tablet once", {"amount": _of(1, TABLET), **DAILY, "single": True, "days": 1.0}),
        ("1 tablet once for 2 days", {"amount": _of(1, TABLET), **DAILY, "single": True, "days": 2.0}),
        ("1 tablet once daily", {"amount": _of(1, TABLET), **DAILY}),
        # So many doses.
        ("1 tablet x 4 doses", {"amount": _of(1, TABLET), **FOUR, "days": 1.0}),
        ("1 tablet x 1 doses", {"amount": _of(1, TABLET), **DAILY, "single": True, "days": 1.0}),
        ("1 tablet twice daily x 4 doses", {"amount": _of(1, TABLET), **TWICE, "days": 2.0}),
        ("1 tablet q6h x 2 doses", {"amount": _of(1, TABLET), **TWICE, "days": 1.0}),
        ("1 tablet q6h x 2", {"amount": _of(1, TABLET), **TWICE, "days": 1.0}),
        (
            "1 tablet every 12 hours x 3 doses once a week",
            {"amount": _of(3, TABLET), "times_low": 1 / 7, "times_high": 1 / 7},
        ),
        # A limit.
        ("1 tablet q6h, max 3 g/day", {"amount": _of(1, TABLET), **FOUR, "maximum": _of(3, DoseUnit("mg", 1000.0))}),
        ("1 tablet q6h, max 3 per day", {"amount": _of(1, TABLET), **FOUR, "maximum": _of(3, TABLET)}),
        (
            "1 tab q6h, not to exceed 6 tablets in 24 hours",
            {"amount": _of(1, TABLET), **FOUR, "maximum": _of(6, TABLET)},
        ),
        ("1 tab q6h, no more than 4 tabs/day", {"amount": _of(1, TABLET), **FOUR, "maximum": _of(4, TABLET)}),
        (
            "1 tablet (50 mg total) every 6 (six) hours as needed for severe pain (7-10) for up to 7 days. "
            "Max Daily Amount: 200 mg",
            {"amount": _of(50, MG), **FOUR, "as_needed": True, "days": 7.0, "maximum": _of(200, MG)},
        ),
        ("500 mg q6h, max 3 per day", {"amount": _of(500, MG), **FOUR}),
        ("1 tablet q6h, max 2 tablets per dose", {"amount": _of(1, TABLET), **FOUR}),
        ("1 tablet q4h, max 3 times a day", {"amount": _of(1, TABLET), **THRICE, "as_needed": False}),
        # The whole of a day.
        ("60 mg/day", {"amount": _of(60, MG), "total_per_day": True}),
        ("60 mg per day", {"amount": _of(60, MG), **DAILY, "total_per_day": True}),
        ("2 tablets per day", {"amount": _of(2, TABLET), **DAILY}),
        ("60 mg/day in 2 divided doses", {"amount": _of(60, MG), "total_per_day": True}),
        ("60 mg divided bid", {"amount": _of(60, MG), **TWICE, "total_per_day": True}),
        ("60 mg/day divided three times daily", {"amount": _of(60, MG), **THRICE, "total_per_day": True}),
        ("60 mg daily divided three times daily", {"amount": _of(60, MG), **THRICE, "total_per_day": True}),
        ("30 mg/kg/day", {"amount": _of(30, DoseUnit("mg", 1.0, True, 1.0))}),
        ("15 mg/kg q6h", {"amount": _of(15, DoseUnit("mg", 1.0, True)), **FOUR}),
        ("15 mg/kg/dose q6h", {"amount": _of(15, DoseUnit("mg", 1.0, True)), **FOUR}),
        ("2 mg/kg/h", {"amount": _of(2, DoseUnit("mg", 1.0, True, 1 / 24))}),
        ("2 mg/kg/min", {"amount": _of(2, DoseUnit("mg", 1.0, True, 1 / 1440))}),
        # What runs.
        ("2 mg/hr", {"amount": _of(2, DoseUnit("mg", 1.0, False, 1 / 24))}),
        ("2 mg/min", {"amount": _of(2, DoseUnit("mg", 1.0, False, 1 / 1440))}),
        ("2 mg/hr for 6 hours", {"amount": _of(12, MG), "total_per_day": True, "days": 1.0}),
        ("2 mg/hr for 6 hours twice daily", {"amount": _of(24, MG), "total_per_day": True, "days": 1.0}),
        ("2 mg/hr for 24 hours", {"amount": _of(2, DoseUnit("mg", 1.0, False, 1 / 24))}),
        ("2 g at 100 mL/hr daily", {"amount": _of(2, DoseUnit("mg", 1000.0)), **DAILY}),
        # Several amounts of a day.
        (
            "10 mg in the morning and 5 mg in the evening",
            {"parts": [(_of(10, MG), 1.0, 1.0), (_of(5, MG), 1.0, 1.0)], **TWICE},
        ),
        (
            "1 tablet in the morning and 2 at bedtime",
            {"parts": [(_of(1, TABLET), 1.0, 1.0), (_of(2, TABLET), 1.0, 1.0)], **TWICE},
        ),
        (
            "1 tablet (500 mg) in the morning and 2 tablets (1000 mg) at bedtime",
            {"parts": [(_of(1, TABLET), 1.0, 1.0), (_of(2, TABLET), 1.0, 1.0)], **TWICE},
        ),
        ("10 mg in the morning and 5 mL in the evening", SEVERAL),
        ("10 mg and 5 mg daily", SEVERAL),
        ("10 mg in the morning and 5 at bedtime", SEVERAL),
        ("1 tablet in the morning, 2 at bedtime at 9", SEVERAL),
        ("in the morning 1, in the evening 2 tablets", SEVERAL),
        ("5 mg daily prn moderate pain, 10 mg daily prn severe pain", {"as_needed": True, **SEVERAL}),
        # Meals.
        ("1 tablet with meals", {"amount": _of(1, TABLET), **THRICE}),
        ("1 tablet with meals and at bedtime", {"amount": _of(1, TABLET), **FOUR}),
        ("1 tablet twice daily with meals", {"amount": _of(1, TABLET), **TWICE}),
        ("with meals", {}),
        # Frequencies that differ.
        ("1 tablet twice daily q8h", {"amount": _of(1, TABLET), **FREQUENCIES}),
        ("1 tablet three times daily and at bedtime", {"amount": _of(1, TABLET), **FREQUENCIES}),
        ("1 tablet twice daily in the morning and evening", {"amount": _of(1, TABLET), **TWICE}),
        ("1 tablet weekly in the morning and evening", {"amount": _of(1, TABLET), **FREQUENCIES}),
        ("1 tablet in the morning, at noon and at bedtime", {"amount": _of(1, TABLET), **THRICE}),
        # Days of the week.
        ("10 mg on Mondays", {"amount": _of(10, MG), "times_low": 1 / 7, "times_high": 1 / 7, "on_days": {"mon"}}),
        (
            "1 tablet twice daily on Sat and Sun",
            {"amount": _of(1, TABLET), "times_low": 4 / 7, "times_high": 4 / 7, "on_days": {"sat", "sun"}},
        ),
        (
            "10 mg once weekly on Monday",
            {"amount": _of(10, MG), "times_low": 1 / 7, "times_high": 1 / 7, "on_days": {"mon"}},
        ),
        (
            "10 mg three times a week on Mon, Wed, Fri",
            {"amount": _of(10, MG), "times_low": 3 / 7, "times_high": 3 / 7, "on_days": {"mon", "wed", "fri"}},
        ),
        ("10 mg three times a week on Mon and Wed", {"amount": _of(10, MG), **DAYS_UNCLEAR}),
        ("10 mg once on Monday", {"amount": _of(10, MG), "single": True, "days": 1.0, **DAYS_UNCLEAR}),
        ("10 mg in the morning and 5 mg in the evening on Monday", DAYS_UNCLEAR),
        # What changes, and what is left open.
        ("1 tablet daily for 3 days, 2 tablets daily for 3 days", {"days": 3.0, **CHANGING}),
        ("1 tablet daily, then increase", CHANGING),
        ("insulin per sliding scale", {"problem": SLIDING_SCALE.text}),
        ("5 mg daily, titrate to effect", {"problem": TITRATED.text}),
        ("1 mg pca, lockout 10 min", {"problem": BY_PATIENT.text}),
        ("5 mg daily per protocol", CHANGING),
        ("as directed", {"problem": LEFT_OPEN.text}),
        ("1 tablet as directed", {"amount": _of(1, TABLET)}),
        ("daily as directed", DAILY),
        ("50 mg daily (reduced to one third for allopurinol)", {"amount": _of(50, MG), **DAILY}),
        # Which of two readings is meant is not guessed.
        ("5 mg in the morning, 10 mg as directed", SEVERAL),
        ("1 tablet in the morning 2 at bedtime", SEVERAL),
        ("1 tablet in the morning, 5 mL at noon and 2 at bedtime", SEVERAL),
        ("2 tablets (10 mL) daily", SEVERAL),
        ("20 mL (2 tablets) daily", SEVERAL),
        ("0.1 mL, 10 units daily", SEVERAL),
        ("500 mg (600 mg) daily", SEVERAL),
        ("1 tablet at 5 mg daily", SEVERAL),
        ("2 g at 30 mg/kg/day", SEVERAL),  # of a day, and no speed
        ("1 tablet in the morning and 2 at bedtime and 3 tablets at noon", SEVERAL),
        ("twice daily, max 6 a day", TWICE),
        ("1-2 times a week on Monday and Thursday", DAYS_UNCLEAR),
        ("10 mg at bedtime between meals", {"amount": _of(10, MG), **FREQUENCIES}),
        ("10 mg twice daily between meals", {"amount": _of(10, MG), **TWICE}),
        # How fast it runs, how long, and what is in a volume.
        ("5 mg/h over 4 hours for 3 days", {"amount": _of(20, MG), "total_per_day": True, "days": 3.0}),
        ("run at 5 mg/h", {"amount": _of(5, DoseUnit("mg", span_days=1 / 24))}),
        ("2 mg/kg/dose per hour", {"amount": _of(2, DoseUnit("mg", by_weight=True))}),
        ("5 mg daily x 3 doses", {"amount": _of(5, MG), "days": 3.0, **DAILY}),
        ("200 mg (1 mL) twice daily", {"amount": _of(200, MG), **TWICE}),
        ("1 mL, 10 mg/h", {"amount": _of(10, DoseUnit("mg", span_days=1 / 24))}),
    ],
)
def test_all_that_a_sig_says(words: str, expected: dict[str, Any]) -> None:
    expected = {name: value for name, value in expected.items() if value is not False}
    assert _said(words) == {
        name: pytest.approx(value) if isinstance(value, float) else value for name, value in expected.items()
    }
