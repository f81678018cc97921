"""The label-choice audit: exact where nothing is wrong, blind to scale, and honest about too few."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from models_onnx.workbench.gates.checks import fairness, label
from models_onnx.workbench.gates.checks.label import GroupNeed, audit_label
from models_onnx.workbench.gates.gate import Insufficient, NotRun, Verdict
from models_onnx.workbench.gates.subject import Audit, InputEvidence
from tests.each import for_rows
from tests.models_onnx.workbench.gates.formula import NOTHING, subject
from tests.models_onnx.workbench.gates.obermeyer import CONDITIONS, COST, SHARE_BLACK, score_trained_on, simulate


def people(gap: float, count: int = 6000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Score, group and need of invented people; group b needs `gap` times as much at an equal score."""
    draw = np.random.default_rng(11)
    score = draw.random(count)
    group = np.where(draw.random(count) < 0.3, "b", "a")
    need = draw.poisson(4 * score * np.where(group == "b", gap, 1.0)).astype(float)
    return score, group, need


def test_the_simulation_has_the_published_averages() -> None:
    panel = simulate(200_000)
    black = panel.group == "Black"
    assert black.mean() == pytest.approx(SHARE_BLACK, abs=0.005)
    for name, own in (("Black", black), ("White", ~black)):
        assert panel.conditions[own].mean() == pytest.approx(CONDITIONS[name], rel=0.03)
        assert panel.cost[own].mean() == pytest.approx(COST[name], rel=0.03)


def test_a_cost_label_enrols_fewer_black_patients_than_a_need_label() -> None:
    panel = simulate(50_000)
    shares = []
    for trained_on in (panel.cost, panel.conditions):
        score = score_trained_on(panel, trained_on)
        shares.append((panel.group[score >= np.quantile(score, 0.97)] == "Black").mean())
    assert shares[0] < 0.75 * shares[1]


@for_rows(("gap", "fails"), [(1.0, False), (1.1, False), (1.5, True), (0.6, True)])
def test_a_gap_is_found_and_no_gap_is_not(gap: float, fails: bool) -> None:
    groups = {row.group: row for row in audit_label(*people(gap))}
    assert (groups["b"].fault is not None) is fails
    assert groups["b"].ratio == pytest.approx(gap, rel=0.06)


def test_only_the_order_of_the_score_counts() -> None:
    score, group, need = people(1.5)
    assert audit_label(score, group, need) == audit_label(np.exp(3 * score), group, need)


def test_few_people_are_insufficient_and_never_at_fault() -> None:
    score, group, need = (column[:150] for column in people(3.0))
    found = audit_label(score, group, need)
    assert all(not row.sufficient and row.fault is None for row in found)


def _need(**changes: Any) -> GroupNeed:
    facts = {"group": "b", "people": 500, "ratio": 1.0, "low": 0.9, "high": 1.1, "top_ratio": 1.0, "top_low": 0.9,
             "top_high": 1.1, "sufficient": True}  # fmt: skip
    return GroupNeed(**{**facts, **changes})


TIMES = "1.30 (1.10 to 1.50) times as much as others"
HIGH = {"ratio": 1.3, "low": 1.1, "high": 1.5}


def test_a_share_of_nothing_is_no_number() -> None:
    assert label._share(1.0, 4.0) == 0.25
    assert np.isnan(label._share(1.0, 0.0))


@pytest.mark.parametrize(("each", "is_enough"), [(1.0, True), (0.99, False)])
def test_the_highest_tenth_has_a_hundred_of_need_of_its_own(each: float, is_enough: bool) -> None:
    is_member = np.arange(2000) < 1000
    people = label._People(np.arange(2000) % 20, np.full(2000, each), np.ones(2000))
    assert label._group("b", is_member, people, label._draws(2000, 1)).top_sufficient is is_enough


AUDIT = Audit(score=np.zeros(2), group=np.zeros(2), need=np.zeros(2), words="illnesses", axis="race")


@pytest.mark.parametrize(
    ("low", "people_blind", "could_fail", "faults"),
    [
        (1.01, 50, False, []),
        (1.01, 51, False, [
            "had the scores of b been lowered by 40 %, illnesses would not show it: this need cannot audit the label",
        ]),
        (1.01, 51, True, []),
        (1.0, 0, False, [
            "people of the highest tenth of scores have 1.50 (1.00 to 2.00) times the illnesses of everybody: the "
            "score says nothing about need",
        ]),
    ],
)  # fmt: skip
def test_why_an_audit_clears_nobody(
    low: float, people_blind: int, could_fail: bool, faults: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label, "need_by_score", lambda *_audit: (1.5, low, 2.0))
    groups = [_need(people=people_blind, could_fail=could_fail), _need(group="a", people=1000 - people_blind)]
    assert label._blind_faults(AUDIT, groups) == faults
    # a group that is at fault, or that is not judged, is not blind
    beside = [_need(people=900, could_fail=False, **HIGH), _need(people=100, sufficient=False, could_fail=False)]
    assert label._blind_faults(AUDIT, beside) == [fault for fault in faults if "tenth" in fault]


def test_what_the_verdict_says_of_its_axes_and_of_those_who_are_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label, "need_by_score", lambda *_audit: (1.5, 1.2, 2.0))
    few = _need(group="c", sufficient=False)
    alike = [_need(group="a"), _need(), few]
    found: dict[str, list[GroupNeed]] = {"race": alike, "ethnicity": [_need(**HIGH), _need(group="a")], "sex": [few]}

    def says(*axes: str) -> Verdict:
        audits = [replace(AUDIT, group=np.array([axis])) if axis else replace(AUDIT, axis="", group=np.array(["race"]))
                  for axis in axes]  # fmt: skip
        audits = [replace(audit, axis=axis) for audit, axis in zip(audits, axes, strict=True)]
        monkeypatch.setattr(label, "audit_label", lambda _score, group, *_rest: found[str(group[0])])
        return label.check_label(
            subject(product={"label": {"words": "cost"}}),
            replace(NOTHING, audit=audits[0], further_audits=tuple(audits[1:])),
        )

    verdict = says("race")
    assert verdict.sentence == (
        "At an equal score no group by race has much more illnesses than the others; insufficient: c."
    )
    assert (verdict.faults, verdict.figures) == ((), {"label": {"words": "cost"}, "need": "illnesses"})
    assert verdict.rows == [{"axis": "race", **asdict(group)} for group in alike]
    both = says("race", "ethnicity", "sex")
    assert both.faults == (f"at an equal score, b need {TIMES} (illnesses); the label is cost",)
    assert both.sentence.startswith("At an equal score no group by race, ethnicity has much more illnesses than ")
    assert len(both.rows) == 6
    assert says("").sentence == "At an equal score no group has much more illnesses than the others; insufficient: c."
    with pytest.raises(Insufficient, match=r"^Fewer than two groups have enough people and illnesses to compare.$"):
        says("sex", "race")


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


@for_rows(
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


@for_rows(
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


@for_rows(
    ("low", "high", "is_fault"),
    [(0.5, 0.8, False), (0.5, 0.79999, True), (1.2, 1.5, False), (1.20001, 1.5, True), (0.9, 1.1, False)],
)
def test_a_slope_exactly_at_its_limits(low: float, high: float, is_fault: bool) -> None:
    slope = {"value": 1.0, "low": low, "high": high}
    assert bool(fairness._calibration_faults("sex", [_group("sex", "a", calibration_slope=slope)], "all")) is is_fault


@for_rows(
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


@for_rows(("comparisons", "widening"), [(0, 1.0), (1, 1.0), (2, 1.14359), (10, 1.43218), (100, 1.77593)])
def test_intervals_are_widened_by_the_number_of_comparisons(comparisons: int, widening: float) -> None:
    """z of 1 - 0.05 / 2k over 1.96: 2.24140 for two, 2.80703 for ten, 3.48076 for a hundred."""
    assert fairness.simultaneous(comparisons) == pytest.approx(widening, abs=2e-5)


@for_rows(
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
