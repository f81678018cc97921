"""Everything that a sig says, worked out by hand: amounts, times, days, limits, and why it is not understood."""

from typing import Any

import pytest

from fhir.mapping.medications.sig import (
    BY_PATIENT,
    LEFT_OPEN,
    LONGEST_SIG,
    SLIDING_SCALE,
    TITRATED,
    DoseProblem,
    SigAmount,
    read_sig,
    said_instead,
)
from fhir.mapping.medications.sig_steps import steps_of
from fhir.terminology.dosing import DoseUnit

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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("500 mg twice daily", {"amount": _of(500, MG), **TWICE}),
        ("Take 1-2 tablets by mouth twice daily", {"amount": _of(1, TABLET, 2), **TWICE}),
        ("2 to 1 tablets twice daily", {"amount": _of(1, TABLET, 2), **TWICE}),
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
        ("500 mg q6h, max 3 per day", {"amount": _of(500, MG), **FOUR}),
        ("1 tablet q6h, max 2 tablets per dose", {"amount": _of(1, TABLET), **FOUR}),
        ("1 tablet q4h, max 3 times a day", {"amount": _of(1, TABLET), **THRICE, "as_needed": False}),
        # The whole of a day.
        ("60 mg/day", {"amount": _of(60, MG), "total_per_day": True}),
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
    ],
)
def test_all_that_a_sig_says(words: str, expected: dict[str, Any]) -> None:
    expected = {name: value for name, value in expected.items() if value is not False}
    assert _said(words) == {
        name: pytest.approx(value) if isinstance(value, float) else value for name, value in expected.items()
    }


def test_a_sig_of_over_a_thousand_signs_is_not_read() -> None:
    assert LONGEST_SIG == 1000
    words = "1 tablet daily"
    assert read_sig(words.ljust(1000)).problem is None
    assert read_sig(words.ljust(1001)).problem == DoseProblem("the words are too long to be read")
    assert said_instead("as directed".ljust(1000)) is LEFT_OPEN
    assert said_instead("as directed".ljust(1001)) is None


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        ("40 mg daily x 3 days, then 20 mg daily", ("40 mg daily x 3 days", "20 mg daily")),
        ("40 mg x 3 days, then 20 mg daily", ("40 mg x 3 days daily", "20 mg daily")),
        ("40 mg daily for 3 days then 20 mg", ("40 mg daily for 3 days", "20 mg daily")),
        ("50 mg twice daily for 7 days, then 100 mg", ("50 mg twice daily for 7 days", "100 mg twice daily")),
        ("300 mg once then 75 mg daily", ("300 mg once", "75 mg daily")),
        ("300 mg once then 75 mg", ()),
        ("75 mg daily then 300 mg once", ()),
        ("20 mg on days 1-5, then 10 mg daily", ("20 mg daily for 5 days", "10 mg daily")),
        ("20 mg on weeks 1-2, then 10 mg daily", ("20 mg daily for 14 days", "10 mg daily")),
        ("20 mg week 3, 10 mg week 4", ("20 mg daily for 7 days", "10 mg daily for 7 days")),
        ("20 mg today, then 10 mg daily", ("20 mg daily for 1 days", "10 mg daily")),
        ("160 mg on day 1, then 40 mg every 2 weeks", ("160 mg once", "40 mg every 2 weeks")),
        ("20 mg twice daily on day 1, then 10 mg daily", ("20 mg twice daily for 1 days", "10 mg daily")),
        ("start 20 mg daily for 7 days, then increase to 40 mg daily", ("20 mg daily for 7 days", "40 mg daily")),
        ("40 mg daily for 7 days, 20 mg daily for 7 days, then stop",
         ("40 mg daily for 7 days", "20 mg daily for 7 days")),
        ("5 mg daily except 7.5 mg on Mondays", ("5 mg daily", "7.5 mg daily")),
        ("5 mg alternating with 7.5 mg", ("5 mg daily", "7.5 mg daily")),
        ("5 mg on even days and 7.5 mg on odd days", ("5 mg daily", "7.5 mg daily")),
        ("5 mg on even days and 7.5 mg on Monday", ()),
        ("5 mg mon wed fri, 2.5 mg all other days", ("5 mg daily", "2.5 mg daily")),
        ("5 mg mon, tue, wed, 2.5 mg thu, fri, sat, sun", ("5 mg daily", "2.5 mg daily")),
        ("5 mg mon, tue, wed, 2.5 mg thu, fri, sat", ()),
        ("5 mg mon, tue, wed, thu, 2.5 mg thu, fri, sat, sun", ()),
        ("5 mg daily", ()),
        ("taper as directed", ()),
        ("10 mg daily for 1 week in the morning, 5 mg for 1 week in the evening", ()),
        ("10 mg daily for 3 days, then as directed", ()),
    ],
)  # fmt: skip
def test_the_steps_of_a_sig(words: str, steps: tuple[str, ...]) -> None:
    assert steps_of(words) == steps


def test_at_most_twelve_steps_and_a_thousand_signs() -> None:
    twelve = ", then ".join(f"{number} mg daily for 2 days" for number in range(12, 0, -1))
    assert len(steps_of(twelve)) == 12
    assert steps_of(f"13 mg daily for 2 days, then {twelve}") == ()
    words = "40 mg daily x 3 days, then 20 mg daily"
    assert len(steps_of(words.ljust(1000))) == 2
    assert steps_of(words.ljust(1001)) == ()
