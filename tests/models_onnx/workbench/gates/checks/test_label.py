"""The label-choice audit: exact where nothing is wrong, blind to scale, and honest about too few."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from models_onnx.workbench.gates.checks import label
from models_onnx.workbench.gates.checks.label import GroupNeed, audit_label
from models_onnx.workbench.gates.gate import Insufficient, Verdict
from models_onnx.workbench.gates.subject import Audit
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


@pytest.mark.parametrize(("gap", "fails"), [(1.0, False), (1.1, False), (1.5, True), (0.6, True)])
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


def test_the_audit_draws_its_samples_again_from_its_seed() -> None:
    draws = label._draws(50, 3)
    assert (len(draws), {len(rows) for rows in draws}) == (200, {50})
    assert min(rows.min() for rows in draws) == 0
    assert max(rows.max() for rows in draws) == 49
    assert all(np.array_equal(one, other) for one, other in zip(draws, label._draws(50, 3), strict=True))


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
