"""Parts of monitoring by themselves: charts in numbers, versions side by side, what is counted, what is taken back."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest

from cds_hooks.hold_back.releases import Released, State
from cds_hooks.monitor.charts import HEIGHT, Mark, _by_day, _cards, _places, _Scale, _Series, charts_of
from cds_hooks.monitor.counting import CallOrder, count_decision, count_feedback
from cds_hooks.monitor.finder import needs_book
from cds_hooks.monitor.notices import _label
from cds_hooks.monitor.rollback import to_take_back
from cds_hooks.monitor.versions import Group, compare, why_too_early
from cds_hooks.storage.decision import Decision
from cds_hooks.storage.queries import DecisionFilter
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import Figure
from models_onnx.monitoring.judging import Compared
from tests.cds_hooks.storage.samples import a_decision
from tests.live import record_in

DAYS = [date(2026, 11, day) for day in (18, 19, 20)]


# Charts


def test_a_value_has_its_height_and_a_day_its_place() -> None:
    scale = _Scale(0.0, 10.0)
    assert [scale.y(value) for value in (-1, 0, 5, 10, 11)] == [146.0, 146.0, 79.0, 12.0, 12.0]
    assert _Scale(5.0, 5.0).y(5.0) == 146.0
    assert _places(1) == [46.0]
    assert _places(3) == [46.0, 189.0, 332.0]
    assert HEIGHT == 170.0


def test_a_chart_over_days_marks_what_is_outside_and_says_what_was_not_counted() -> None:
    series = _Series([1.0, None, 4.0], [0.0, 0.0, 1.0], [2.0, 2.0, 3.0])
    chart = _by_day("T", "S", "calls", DAYS, DAYS[1], series)
    assert chart.rows == [
        ("2026-11-18", "1"), ("2026-11-19", "nothing counted"), ("2026-11-20", "4 (outside the limits)"),
    ]  # fmt: skip
    assert (chart.title, chart.sentence, chart.head) == ("T", "S", ("day", "calls"))
    assert chart.marks == [Mark(46.0, 114.1, "reference"), Mark(332.0, 18.4, "outside")]
    assert [name for name, _ in chart.lines] == ["low", "high", "value"]
    assert chart.lines[-1] == ("value", "46.0,114.1 332.0,18.4")
    assert [(label.x, label.text, label.anchor) for label in chart.labels] == [
        (42.0, "4", "end"), (42.0, "0", "end"), (46.0, "18 Nov", "start"), (332.0, "20 Nov", "end"),
    ]  # fmt: skip
    on_limits = _by_day("T", "S", "x", DAYS[:2], DAYS[0], _Series([0.0, 2.0], [0.0, 0.0], [2.0, 2.0]))
    assert [mark.kind for mark in on_limits.marks] == ["window", "window"]
    assert _by_day("T", "S", "x", DAYS[:1], DAYS[0], _Series([None])).marks == []


def counts(calls: int, cards: int = 0) -> DayCounts:
    return DayCounts(calls=calls, with_cards=cards)


def test_the_rate_of_cards_has_limits_from_the_days_before() -> None:
    before = {DAYS[0]: counts(100, 20), DAYS[1]: counts(0)}
    compared = Compared("ehr", "s", {DAYS[2]: counts(100, 50)}, before)
    chart = _cards(compared, DAYS, [counts(100, 20), counts(0), counts(100, 50)], DAYS[2])
    assert chart.sentence == "20.0 in 100 calls had a card before; the dashed lines are three standard deviations."
    assert chart.rows == [
        ("2026-11-18", "20"), ("2026-11-19", "nothing counted"), ("2026-11-20", "50 (outside the limits)"),
    ]  # fmt: skip
    alone = _cards(Compared("ehr", "s", {DAYS[2]: counts(4, 1)}, {}), DAYS[2:], [counts(4, 1)], DAYS[2])
    assert alone.sentence == "There are no days before to compare with."
    assert alone.rows == [("2026-11-20", "25")]
    assert charts_of(Compared("ehr", "s", {}, {})) == []
    assert [chart.title for chart in charts_of(compared)] == ["Calls a day", "Calls with a card", "Time of answers"]


# Versions


def estimated(
    *beside: dict[str, Any], probability: float | None = 0.2, silent: bool = False, name: str = "d"
) -> Decision:
    silence = [["m", "below-threshold", "t"]] if silent else [["x", "below-threshold", "t"]]
    scores = {"id": "m", "version": "1", "sha256": "ours", "probability": probability, "beside": list(beside)}
    basis = {"features": {"age_years": [70, None, None], "sex_male": [1, None, None]}, "scores": scores}
    return a_decision(id=name, basis=orjson.dumps(basis | {"silence": silence}))


def version(
    probability: float | None, *, is_due: bool = False, sha256: str = "theirs", error: str = ""
) -> dict[str, Any]:
    made = {"id": "m", "version": "2", "sha256": sha256, "is_due": is_due, "error": error}
    return made | ({"probability": probability} if probability is not None else {})


def test_a_version_is_compared_with_the_one_in_use_over_the_same_decisions() -> None:
    decisions = [
        estimated(version(0.3, is_due=True), silent=True, name="a"),
        estimated(version(0.1), name="b"),
        estimated(version(0.2, is_due=True), name="c"),
        estimated(version(None, error="TooBig"), name="d"),
        estimated(version(0.2, sha256="another"), name="e"),
        estimated(name="f"),
        a_decision(id="g", basis=b"{}"),
    ]
    comparison = compare(decisions, "theirs")
    whole = comparison.groups["all"]
    assert (whole.predictions, whole.due_version, whole.due_other) == (3, 2, 2)
    assert (whole.only_version, whole.only_other) == (1, 1)
    assert whole.mean_difference == pytest.approx(0.0)
    assert comparison.errors == {"TooBig": 1}
    assert comparison.examples == ["a", "b"]
    assert set(comparison.groups) > {"all"}
    turned = compare(decisions, "ours").groups["all"]
    assert (turned.predictions, turned.only_version, turned.only_other) == (4, 2, 1)
    assert len(compare([decisions[0]] * 7, "theirs").examples) == 5
    assert Group(predictions=4, difference=1.0).mean_difference == 0.25
    assert Group().mean_difference == 0.0


def test_a_version_is_in_shadow_for_a_week_at_least(tmp_path: Any) -> None:
    url, now = record_in(tmp_path), datetime(2026, 11, 20, tzinfo=UTC)
    a_week = why_too_early(url, "x", (now - timedelta(days=7)).isoformat(), now)
    assert a_week == "it computed 0 of at least 500 estimates in shadow"
    early = why_too_early(url, "x", (now - timedelta(days=6, hours=12)).isoformat(), now)
    assert early == "it is in shadow for 6.5 of at least 7 days"


# What is counted


def called(
    at: int, outcome: Any = "cards", *, hook_instance: str = "", patient: str = "p", basis: Any = None
) -> Decision:
    return a_decision(
        decided_at=at, outcome=outcome, hook_instance=hook_instance, patient=patient, response=b'{"cards": []}',
        basis=orjson.dumps(basis or {}),
    )  # fmt: skip


HOUR = 3_600_000_000


def test_a_call_is_counted_by_hour_outcome_reason_and_key() -> None:
    day = DayCounts()
    basis = {
        "silence": [["s", "below-threshold", "t"], ["s", "below-threshold", "u"]],
        "prefetch": {"a": "given", "b": {"state": "failed"}},
        "timings": {"read": 1.0, "write": 2.0},
    }
    count_decision(day, called(5 * HOUR, basis=basis))
    count_decision(day, called(29 * HOUR, "error", basis=basis))
    count_decision(day, a_decision(decided_at=0, outcome="silent", basis=b"{]"))
    assert (day.calls, day.with_cards, day.errors, day.uncounted) == (3, 1, 1, 1)
    assert day.hours == {5: 2, 0: 1}
    assert day.hour_errors == {5: 1}
    assert day.silences == {"s below-threshold": 2}
    assert day.classes == {"below-threshold": 1}
    assert day.keys == {"a given": 2, "b failed": 2}
    assert sum(day.milliseconds.values()) == 2


def test_an_answer_is_counted_with_its_reason_and_its_rules() -> None:
    day = DayCounts()
    count_feedback(day, "accepted", None, ["r"], 1.0)
    count_feedback(day, "overridden", "benefit", ["r"])
    count_feedback(day, "overridden", None, ["r", "s"])
    assert (day.accepted, day.overridden) == (1, 2)
    assert day.reasons == {"benefit": 1, "no reason": 1}
    assert day.answers == {"r accepted": 1, "r overridden": 2, "s overridden": 1}
    assert day.answer_reasons == {"r benefit": 1, "r no reason": 1, "s no reason": 1}
    assert sum(day.answer_seconds.values()) == 1


def repeated(*calls: Decision) -> int:
    order, day = CallOrder(), DayCounts()
    for call in calls:
        order.note(day, call)
    return day.repeated


def test_the_same_call_again_is_a_repetition() -> None:
    again = called(60 * 1_000_000 * 60, hook_instance="h")
    assert repeated(called(0, hook_instance="h"), again) == 1
    assert repeated(called(0, hook_instance="h"), called(HOUR, hook_instance="i")) == 0
    assert repeated(called(0), called(1)) == 1
    assert repeated(called(0), called(1, patient="q")) == 0
    assert repeated(called(0), called(HOUR)) == 0


# What is found, and taken back


@pytest.mark.parametrize(
    ("wanted", "needs"),
    [
        ({}, False), ({"service": "s"}, True), ({"rule": "r"}, True), ({"severity": "info"}, True),
        ({"rule": "r", "patient": "p"}, False), ({"rule": "r", "hook_instance": "h"}, False), ({"since": 1}, False),
        ({"held_back": ("budget",)}, True), ({"answer": "accepted"}, True), ({"override": "x"}, True),
    ],
)  # fmt: skip
def test_the_book_is_needed_where_no_index_leads_to_the_decisions(wanted: dict[str, Any], *, needs: bool) -> None:
    assert needs_book(DecisionFilter(**wanted)) is needs


def figure(family: Any, subject: str, state: Any = "act", service: str = "s") -> Figure:
    return Figure("ehr", service, family, subject, state, 1, 1, None, None, "text")


SCORED = figure("score drift", "m@1 all", "good")


@pytest.mark.parametrize(
    ("key", "state", "figures", "is_taken_back"),
    [
        (("rule", "r"), "canary", [figure("rules", "r")], True),
        (("rule", "r"), "canary", [figure("rules", "r fires")], True),
        (("rule", "r"), "canary", [figure("rules", "r2")], False),
        (("rule", "r"), "canary", [figure("rules", "r", "watch")], False),
        (("rule", "r"), "active", [figure("rules", "r")], False),
        (("unit", "r"), "canary", [figure("rules", "r")], False),
        (("model", "m@2"), "active", [figure("score drift", "m@2 all")], True),
        (("model", "m@2"), "shadow", [figure("score drift", "m@2 all")], False),
        (("model", "m"), "canary", [SCORED, figure("errors", "all")], True),
        (("model", "m"), "canary", [SCORED, figure("errors", "x", service="t")], False),
        (("model", "m"), "canary", [SCORED, figure("feed", "all")], False),
    ],
)  # fmt: skip
def test_what_is_tried_is_taken_back_for_a_figure_about_it(
    key: tuple[str, str], state: Any, figures: list[Figure], *, is_taken_back: bool
) -> None:
    rollbacks = to_take_back(Released({key: State(state)}), figures)
    assert [(one.kind, one.name) for one in rollbacks] == ([key] if is_taken_back else [])
    if is_taken_back:
        acting = next(one for one in figures if one.state == "act")
        assert rollbacks[0].why == f"monitor, {acting.family} at ehr: text"


def test_a_label_of_prometheus_is_one_line_without_open_quotes() -> None:
    assert _label('a"b\\c\nd') == 'a\\"b\\\\c d'
