"""Each verdict of monitoring at its limits: from which count on it is "watch" or "act", and what the figure says.

The limits are those of docs/operations/monitoring.md, "Figures and limits"; they stand here as literals.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta

import pytest

from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import Figure
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.label_judging import LabelWindow
from models_onnx.monitoring.labelled import LabelCounts
from models_onnx.monitoring.sketch import bucket_of

MONDAY = date(2026, 9, 28)
MODEL = "readmission@1"
Change = tuple[float, str]


def _day(calls: int = 100, **more: object) -> DayCounts:
    return DayCounts(calls=calls, **more)  # type: ignore[arg-type]  # counts by their name


def _figure(family: str, subject: str, window: DayCounts, before: DayCounts, at: datetime | None = None) -> Figure:
    """A figure of a Monday after four weeks of days that were all alike."""
    reference = {MONDAY - timedelta(days=back): before for back in range(1, 29)}
    figures = Compared("ehr", "follow-up", {MONDAY: window}, reference, at).figures()
    return next(figure for figure in figures if (figure.family, figure.subject) == (family, subject))


def _changes(values: Iterable[float], figure: Callable[[float], Figure]) -> list[Change]:
    """The first value and every value from which on the verdict is another one."""
    changes: list[Change] = []
    for value in values:
        state = figure(value).state
        if not changes or changes[-1][1] != state:
            changes.append((value, state))
    return changes


def _sketch(value: float, times: int) -> dict[int, int]:
    return {bucket_of(value): times}


# Calls


def test_calls_that_stay_away_or_come_too_often() -> None:
    def feed(calls: float) -> Figure:
        return _figure("feed", "calls", _day(int(calls)), _day(100))

    assert _changes(range(0, 200), feed) == [(0, "act"), (50, "watch"), (71, "good"), (152, "watch")]
    assert feed(49).text == "follow-up: 49 calls came where 100 were expected."
    assert _figure("feed", "calls", _day(0), _day(19)).state == "insufficient"
    assert _figure("feed", "calls", _day(0), _day(20)).state == "act"


def test_shares_of_calls_that_rise() -> None:
    def errors(failed: float) -> Figure:
        return _figure("errors", "calls", _day(1000, errors=int(failed)), _day(100, errors=1))

    def twice(times: float) -> Figure:
        return _figure("feed", "repeated calls", _day(1000, repeated=int(times)), _day(100))

    def key(given: float) -> Figure:
        window = _day(1000, keys={"labs given": int(given)})
        return _figure("prefetch", "labs", window, _day(100, keys={"labs given": 100}))

    assert _changes(range(0, 200), errors) == [(0, "good"), (40, "watch"), (110, "act")]
    assert _changes(range(0, 200), twice) == [(0, "good"), (30, "watch"), (100, "act")]
    assert _changes(range(1000, 800, -1), key) == [(1000, "good"), (970, "watch"), (900, "act")]
    assert errors(40).text == "follow-up: 4.0 in 100 calls failed, 1.0 before."
    assert key(900).text == "follow-up: 10.0 in 100 calls came without the prefetch key labs, 0.0 before."
    assert _changes((199, 200), lambda calls: _figure("errors", "calls", _day(int(calls)), _day())) == [
        (199, "insufficient"),
        (200, "good"),
    ]


def test_answers_that_become_slower() -> None:
    def latency(milliseconds: float) -> Figure:
        window = _day(200, milliseconds=_sketch(milliseconds, 200))
        return _figure("latency", "90th percentile", window, _day(milliseconds=_sketch(10, 100)))

    assert _changes(range(10, 80), latency) == [(10, "good"), (21, "watch"), (51, "act")]
    assert latency(20).text.endswith("nine of ten answers took up to 19.9 ms, 10.1 ms before.")


def test_cards_in_more_or_fewer_calls() -> None:
    def rate(cards: float) -> Figure:
        return _figure("alert rate", "cards", _day(100, with_cards=int(cards)), _day(100, with_cards=20))

    assert _changes(range(0, 60), rate) == [(0, "watch"), (8, "good"), (33, "watch")]
    assert rate(20).text == "follow-up: 20.0 in 100 calls had a card, 20.0 before."
    assert _changes((99, 100), lambda calls: _figure("alert rate", "cards", _day(int(calls)), _day())) == [
        (99, "insufficient"),
        (100, "good"),
    ]


# Inputs


def _inputs(value: float, times: int = 600, then: float = 80.0) -> tuple[DayCounts, DayCounts]:
    """A window with one value of an input, and days before on which its values lay around another one."""
    around = {bucket_of(then * (0.9 + 0.02 * step)): 10 for step in range(11)}
    return _day(times, features={"sbp": _sketch(value, times)}), _day(110, features={"sbp": around})


def test_a_median_in_another_unit() -> None:
    def units(value: float) -> Figure:
        return _figure("units", "sbp", *_inputs(value, 120))

    assert _changes(range(20, 200), units) == [(20, "act"), (57, "watch"), (63, "good"), (100, "watch"), (110, "act")]
    assert _figure("units", "sbp", *_inputs(80, 99)).state == "insufficient"
    assert _figure("units", "sbp", *_inputs(80, 100)).state == "good"


def test_values_that_are_missing_or_older() -> None:
    def missing(gone: float) -> Figure:
        window = _day(1000, features={"sbp": _sketch(80, 1000 - int(gone))}, missing={"sbp absent": int(gone)})
        return _figure("missing", "sbp", window, _day(100, features={"sbp": _sketch(80, 100)}))

    def older(days: float) -> Figure:
        window, before = _inputs(80, 120)
        window.ages, before.ages = {"sbp": _sketch(days, 120)}, {"sbp": _sketch(4, 100)}
        return _figure("age of values", "sbp", window, before)

    assert _changes(range(0, 200), missing) == [(0, "good"), (30, "watch"), (100, "act")]
    assert missing(100).text == "follow-up: 10.0 in 100 calls had no usable sbp, 0.0 before."
    assert _changes(range(1, 20), older) == [(1, "good"), (7, "watch")]


# Clocks


def test_clocks_that_disagree() -> None:
    def machines(behind: float) -> Figure:
        return _figure("clock", "machines", _day(1000, behind=int(behind)), _day())

    def values(dated: float) -> Figure:
        return _figure("clock", "values", _day(1000, missing={"sbp future": int(dated)}), _day())

    def ahead(answers: float) -> Figure:
        seconds = {bucket_of(-400.0): int(answers), bucket_of(30.0): 1000 - int(answers)}
        return _figure("clock", "answers", _day(1000, answer_seconds=seconds), _day())

    def late(seconds: float) -> Figure:
        before = _day(answer_seconds=_sketch(30.0, 100))
        return _figure("clock", "answers", _day(1000, answer_seconds=_sketch(seconds, 100)), before)

    assert (
        _changes(range(0, 100), machines) == _changes(range(0, 100), values) == [(0, "good"), (5, "watch"), (20, "act")]
    )
    assert _changes(range(0, 200), ahead) == [(0, "good"), (20, "watch"), (100, "act")]
    assert _changes(range(30, 600, 5), late) == [(30, "good"), (335, "act")]
    assert ahead(40).text == (
        "follow-up: 4 in 100 answers are dated over 5 minutes after they arrived: its clock is ahead."
    )
    assert machines(0).text == (
        "follow-up: 0.0 in 100 calls are dated over 5 minutes before a call that was recorded earlier; "
        "do the machines' clocks agree?"
    )


# What clinicians answer


def test_cards_that_nobody_accepts() -> None:
    def acceptance(accepted: float, answered: int = 200) -> Figure:
        window = _day(1000, accepted=int(accepted), overridden=answered - int(accepted))
        return _figure("acceptance", "cards", window, _day())

    assert _changes(range(0, 50), acceptance) == [(0, "act"), (10, "good")]
    assert _changes((49, 50, 199, 200), lambda n: acceptance(0, int(n))) == [
        (49, "insufficient"),
        (50, "good"),
        (200, "act"),
    ]
    assert acceptance(10).text == "follow-up: 5.0 in 100 of 200 answered cards were accepted."


def test_a_rule_whose_cards_are_not_for_the_patient() -> None:
    def rule(ineligible: float, answered: int = 100) -> Figure:
        answers = {"ddi accepted": 20, "ddi overridden": answered - 20}
        reasons = {"ddi patient-ineligible": int(ineligible), "ddi benefit": 7, "ddi other": 3, "ddi rare": 1}
        window = _day(1000, answers=answers, answer_reasons=reasons, orders={"ddi changed": 12, "ddi kept": 0})
        return _figure("acceptance", "ddi", window, _day())

    def accepted(times: float) -> Figure:
        answers = {"ddi accepted": int(times), "ddi overridden": 200 - int(times)}
        return _figure("acceptance", "ddi", _day(1000, answers=answers), _day())

    assert _changes(range(0, 60), rule) == [(0, "good"), (31, "act")]
    assert rule(40, 99).state == "good"
    assert rule(40, 49).state == "insufficient"
    assert rule(40, 50).state == "good"
    assert _changes(range(0, 50), accepted) == [(0, "act"), (10, "good")]
    assert rule(31).text == (
        "follow-up: 20.0 in 100 of 100 answered cards of ddi were accepted; overridden because: "
        "patient-ineligible (31), benefit (7), other (3); orders afterwards: changed (12)."
    )


def test_rules_that_fell_silent_or_speak_in_most_calls() -> None:
    def silent(times: float) -> Figure:
        return _figure("rules", "ddi", _day(1000), _day(100, rules={"ddi": int(times)}))

    def often(times: float) -> Figure:
        return _figure("rules", "ddi", _day(1000, rules={"ddi": int(times)}), _day(100, rules={"ddi": 50}))

    assert _changes(range(2, 6), silent) == [(2, "act")]
    assert silent(3).text == "follow-up: the rule ddi showed no card; 30 were expected."
    with pytest.raises(StopIteration):
        silent(1)
    with pytest.raises(StopIteration):
        often(500)
    assert (often(501).state, often(501).text) == ("watch", "follow-up: the rule ddi shows cards in 50 of 100 calls.")


# Mature predictions


def _labels(**groups: tuple[int, int, int, int]) -> LabelCounts:
    """By group how many with a card had the event or not, and how many without a card."""
    counts = LabelCounts()
    for group, (card_yes, card_no, yes, no) in groups.items():
        for times, event, shown in (
            (card_yes, "yes", True),
            (card_no, "no", True),
            (yes, "yes", False),
            (no, "no", False),
        ):
            counts.count(f"{MODEL} {group}", 0.5, event, with_card=shown, times=times)  # type: ignore[arg-type]
    return counts


def _label_figure(subject: str, now: LabelCounts, before: LabelCounts | None = None, area: float = 0.73) -> Figure:
    window = LabelWindow("ehr", "follow-up", "predictions of May", now, before or now, {"readmission": area})
    return next(figure for figure in window.figures() if figure.subject == f"{MODEL}{subject}")


def test_cards_among_those_with_the_event() -> None:
    def found(cards: float) -> Figure:
        now, then = (_labels(all=(cards_yes, 100, 1000 - cards_yes, 900)) for cards_yes in (int(cards), 800))
        return _label_figure(", cards among those with the event", now, then)

    assert _changes(range(800, 400, -5), found) == [(800, "good"), (640, "watch"), (515, "act")]
    few = _label_figure(", events among those with a card", _labels(all=(20, 29, 500, 500)))
    assert (few.state, few.n, few.minimum) == ("insufficient", 49, 50)


def test_gaps_between_the_sexes() -> None:
    def gap(cards: float) -> Figure:
        women, men = (int(cards), 200, 1000 - int(cards), 800), (500, 200, 500, 800)
        now = _labels(all=(1, 1, 1, 1), women=women, men=men)
        return _label_figure(", sex, cards among those with the event", now)

    assert _changes(range(500, 300, -5), gap) == [(500, "good"), (440, "watch"), (395, "act")]
    small = _labels(all=(1, 1, 1, 1), women=(50, 10, 49, 100), men=(500, 200, 500, 800))
    few = _label_figure(", sex, cards among those with the event", small)
    assert (few.state, few.n, few.minimum) == ("insufficient", 99, 100)
