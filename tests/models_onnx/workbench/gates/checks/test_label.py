"""The label-choice audit: exact where nothing is wrong, blind to scale, and honest about too few."""

import numpy as np
import pytest

from models_onnx.workbench.gates.checks.label import audit_label
from tests.each import for_rows
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


@pytest.mark.slow
@for_rows(("gap", "fails"), [(1.0, False), (1.1, False), (1.5, True), (0.6, True)])
def test_a_gap_is_found_and_no_gap_is_not(gap: float, fails: bool) -> None:
    groups = {row.group: row for row in audit_label(*people(gap))}
    assert (groups["b"].fault is not None) is fails
    assert groups["b"].ratio == pytest.approx(gap, rel=0.06)


def test_few_people_are_insufficient_and_never_at_fault() -> None:
    score, group, need = (column[:150] for column in people(3.0))
    found = audit_label(score, group, need)
    assert all(not row.sufficient and row.fault is None for row in found)
