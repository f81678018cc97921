"""G9 whole: what is compared, what is shown of each group, and exactly at its limits."""

from dataclasses import replace
from typing import Any

import pytest

from models_onnx.workbench.gates.checks import fairness
from models_onnx.workbench.gates.gate import Insufficient, NotRun, Verdict
from models_onnx.workbench.gates.subject import InputEvidence
from tests.models_onnx.workbench.gates.formula import NOTHING, subject

Group = dict[str, Any]


def _figure(value: float, half: float = 0.0625) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def _group(axis: str, group: str, events: int = 100, **more: Any) -> Group:
    figures = {"sensitivity": _figure(0.5), "observed_expected": _figure(1.0)}
    return {"axis": axis, "group": group, "n": 1000, "events": events, **figures, **more}


GROUPS = [_group("sex", "female"), _group("sex", "male"), _group("age band", "18-44"), _group("age band", "45-64")]
AXES = {"sex": "all", "age band": "calibration"}


def _judged(*groups: Group, axes: dict[str, str] | None = None, **inputs: Any) -> Verdict:
    brought = InputEvidence(alone={}, **inputs) if inputs else None
    evidence = replace(NOTHING, figures={"subgroups": [*groups]}, inputs=brought)
    return fairness.check_fairness(subject(product={"fairness_axes": AXES if axes is None else axes}), evidence)


def _with(position: int, **changes: Any) -> list[Group]:
    return [{**group, **changes} if number == position else group for number, group in enumerate(GROUPS)]


NO_RACE = "By race and ethnicity nothing was judged: no axis is of them."


def test_latest_figures_without_a_ratio_do_not_count() -> None:
    assert fairness._latest({"observed_expected": 1, "latest": {"events": 5}}) == {
        "observed_expected": 1,
        "latest": {"events": 5},
    }
    assert fairness._latest({"observed_expected": 1}) == {"observed_expected": 1}


@pytest.mark.parametrize(
    ("groups", "axes", "reason"),
    [
        ([], None, "NotRun: There are no figures by group."),
        (GROUPS, {}, "NotRun: The card names no axes to judge (product.fairness_axes)."),
        (GROUPS, {**AXES, "region": "all", "language": "all"}, (
            "NotRun: There are no figures by language, region, which the card names."
        )),
        (GROUPS, {"sex": "much", "age band": "calibration"}, (
            "NotRun: The card asks much of an axis; known are none, calibration, all."
        )),
        ([{**group, "events": 49} for group in GROUPS], AXES, (
            "Insufficient: No group has 50 events; nothing can be said about sex, age band."
        )),
    ],
)  # fmt: skip
def test_why_nothing_is_judged(groups: list[Group], axes: dict[str, str] | None, reason: str) -> None:
    with pytest.raises((NotRun, Insufficient)) as why:
        _judged(*groups, axes=axes)
    assert f"{type(why.value).__name__}: {why.value}" == reason


def test_what_could_not_be_judged_is_said_and_is_no_fault() -> None:
    with_race = _judged(*GROUPS, _group("race", "a"), axes={**AXES, "race": "all"})
    assert NO_RACE not in with_race.sentence
    verdict = _judged(*GROUPS)
    assert verdict.faults == ()
    assert verdict.sentence.endswith(NO_RACE)


@pytest.mark.parametrize(
    ("axes", "faults"),
    [
        ({"sex": "all", "age band": "all"}, ()),
        ({"sex": "calibration", "age band": "calibration"}, ("sex: the card asks too little of it; at least 'all'",)),
        ({"sex": "all", "age band": "none"}, (
            "age band: the card asks too little of it; at least 'calibration'",
        )),
        ({"sex": "all"}, ("age band: there are figures and the card does not name it (product.fairness_axes)",)),
    ],
)  # fmt: skip
def test_what_a_card_asks_of_its_axes(axes: dict[str, str], faults: tuple[str, ...]) -> None:
    assert _judged(*GROUPS, axes=axes).faults == faults


def test_an_axis_that_a_card_need_not_name_may_be_left_out_or_not_judged() -> None:
    wrong = _group("language", "es", observed_expected=_figure(2.0))
    assert _judged(*GROUPS, wrong).faults == ()
    assert _judged(*GROUPS, wrong, axes={**AXES, "language": "none"}).faults == ()
    fault = "language: observed/expected of es is 2.00 (1.94 to 2.06), outside 0.8 to 1.25"
    assert _judged(*GROUPS, wrong, axes={**AXES, "language": "calibration"}).faults == (fault,)


def test_there_are_figures_by_sex_and_age() -> None:
    assert _judged(_group("race", "a"), axes={"race": "all"}).faults == (
        "sex: there are no figures by sex",
        "age: there are no figures by age",
    )


def test_a_group_under_another_name_and_a_column_without_figures() -> None:
    verdict = _judged(*GROUPS, smuggled=("x is read from race",), unnamed=("ethnicity",))
    assert verdict.faults == (
        "x is read from race: a group is used as an input under another name",
        "ethnicity: the table has this column and there are no figures by it, on an axis that begins with race, sex or "
        "age, whichever it is",
    )


def test_a_gap_counts_by_the_error_rates_of_an_axis_of_which_all_is_asked() -> None:
    far: Group = {"sensitivity": _figure(0.75, 0.03125)}
    assert _judged(*_with(3, **far)).faults == (), "of age O/E alone is asked"
    # 1 comparison: the intervals are not widened; half widths 1/16 and 1/32 make 0.0699
    assert _judged(*_with(1, **far)).faults == (
        "sex: sensitivity of female (0.50) and male (0.75) differ by 0.25 (0.18 to 0.32)",
    )
    unknown = [*GROUPS, _group("sex", "unknown", **far), _group("sex", "not recorded", **far)]
    assert _judged(*unknown).faults == ()
    slope: Group = {"calibration_slope": {"value": 0.5, "low": 0.4, "high": 0.79}}
    assert _judged(*_with(3, **slope)).faults == ()
    assert _judged(*_with(1, **slope)).faults == (
        "sex: the calibration slope of male is 0.50 (0.40 to 0.79), outside 0.8 to 1.2",
    )


@pytest.mark.parametrize(
    ("low", "high", "is_fault"),
    [(0.5, 0.8, False), (0.5, 0.79999, True), (1.2, 1.5, False), (1.20001, 1.5, True), (0.9, 1.1, False)],
)
def test_a_slope_exactly_at_its_limits(low: float, high: float, is_fault: bool) -> None:
    slope = {"value": 1.0, "low": low, "high": high}
    assert bool(fairness._slope_faults("sex", [_group("sex", "a", calibration_slope=slope)])) is is_fault


@pytest.mark.parametrize(
    ("events", "names"),
    [
        ((100, 100), ["a", "b"]),
        ((100, 99), ["a"]),
        ((100, 99, 1), ["a", "the smaller groups together"]),
        ((100, 98, 1), ["a"]),
        ((50, 50), ["the smaller groups together"]),
    ],
)
def test_groups_too_small_for_an_error_rate_count_together_if_they_have_a_hundred_events(
    events: tuple[int, ...], names: list[str]
) -> None:
    groups = [_group("sex", name, count) for name, count in zip("abc", events, strict=False)]
    assert [group["group"] for group in fairness._measured(groups, "sensitivity")] == names
    assert fairness._measured(groups, "false_positive_rate") == []
    unknown = [{**group, "sensitivity": {"value": None}} for group in groups]
    assert fairness._measured(unknown, "sensitivity") == []


def test_how_many_differences_are_looked_at() -> None:
    of_both: Group = {"false_positive_rate": _figure(0.25)}
    races = [_group("race", name, **of_both) for name in ("a", "b", "c", "unknown", "not recorded")]
    assert fairness._comparisons([*GROUPS, *races], {"sex": "all", "race": "all", "age band": "calibration"}) == 1 + 6
    assert fairness._comparisons(GROUPS, {"sex": "none"}) == 0


@pytest.mark.parametrize(("comparisons", "widening"), [(0, 1.0), (1, 1.0), (2, 1.14359), (10, 1.43218), (100, 1.77593)])
def test_intervals_are_widened_by_the_number_of_comparisons(comparisons: int, widening: float) -> None:
    """z of 1 - 0.05 / 2k over 1.96: 2.24140 for two, 2.80703 for ten, 3.48076 for a hundred."""
    assert fairness.simultaneous(comparisons) == pytest.approx(widening, abs=2e-5)


@pytest.mark.parametrize(
    ("events", "faults"),
    [
        ([49] * 9, [
            "race: 441 of 441 events are in 9 groups of fewer than 50, by which nothing is judged: name fewer, larger "
            "groups",
        ]),
        ([49] * 8, []),
        ([50, 150, *[49] * 4, 4], []),
        ([150, 49, *[49] * 4, 6], [
            "race: 251 of 401 events are in 6 groups of fewer than 50, by which nothing is judged: name fewer, larger "
            "groups",
        ]),
        ([1000, *[20] * 100], [
            "race: 2,000 of 3,000 events are in 100 groups of fewer than 50, by which nothing is judged: name fewer, "
            "larger groups",
        ]),
    ],
)  # fmt: skip
def test_an_axis_that_is_split_into_groups_too_small_to_judge(events: list[int], faults: list[str]) -> None:
    groups = [_group("race", str(number), count) for number, count in enumerate(events)]
    assert fairness._too_small("race", groups) == faults
    assert fairness._too_small("site", groups) == [], "an axis that a card may leave out"
