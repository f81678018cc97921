"""Gates at their limits: fairness by gap, ratio and size of a group; how old data may be; missing evidence."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from models_onnx.workbench.gates.checks import fairness, inputs
from models_onnx.workbench.gates.run import _covers, _in_force, waiver_problem
from models_onnx.workbench.metrics import net_benefit
from tests.models_onnx.workbench.gates.drawn_groups import DESIGNS, share_failed


def _rate(value: float, half: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def test_groups_alike_fail_by_chance_in_at_most_one_of_twenty_models() -> None:
    for design in DESIGNS[:4]:
        assert share_failed(design, 150) <= fairness.BY_CHANCE + 0.03, design.words


def test_harm_to_one_group_or_to_every_small_one_is_found() -> None:
    for design in DESIGNS[4:]:
        assert share_failed(design, 40) >= 0.9, design.words


@dataclass
class _Subject:
    product: dict[str, Any]


@dataclass
class _Evidence:
    as_of: datetime = field(default_factory=lambda: datetime(2026, 11, 20, tzinfo=UTC))


@pytest.mark.parametrize(
    ("last", "setting", "words"),
    [
        (2006, "outpatient", []),
        (2005, "outpatient", ["its newest data are of 2005, 21 years ago (limit 20)"]),
        (None, "discharge", ["the card does not say from which year the newest data are"]),
        ("2020", "population", ["the card does not say from which year the newest data are"]),
        (2020, "intensive care", ["its population is intensive care"]),
        (2020, None, ["its population is not said"]),
    ],
)
def test_how_old_the_data_may_be_and_of_which_people(last: Any, setting: Any, words: list[str]) -> None:
    product = {"data_last_year": last, "setting": setting}
    faults = inputs._data_faults(_Subject(product), _Evidence())  # type: ignore[arg-type]  # what the check reads
    assert len(faults) == len(words)
    assert all(fault.startswith(expected) for fault, expected in zip(faults, words, strict=True))


def test_net_benefit_counts_alerts_with_and_without_an_event_at_the_threshold() -> None:
    y, one = np.array([1, 1, 0, 0, 0]), np.ones(5)
    # two alerts, one of them right: (1 - 1 * 1) / 5; all: (2 - 3) / 5; only the right ones: 2 / 5
    for margin, benefit in (([1, -1, 1, -1, -1], 0.0), ([1, 1, 1, 1, 1], -0.2), ([0, 0, -1, -1, -1], 0.4)):
        assert net_benefit(np.array(margin, dtype=float), y, one, 0.0, 1.0) == pytest.approx(benefit)
    assert net_benefit(one, y, one, float(np.log(0.25)), 0.25) == pytest.approx((2 - 0.25 * 3) / 5)


@pytest.mark.parametrize(
    ("gap", "axes", "is_covered"),
    [("0.11", ["sex"], True), ("0.12", ["sex"], True), ("0.13", ["sex"], False), ("0.11", ["age"], False)],
)
def test_a_waiver_covers_a_gap_up_to_its_own_size_and_only_its_axes(
    gap: str, axes: list[str], *, is_covered: bool
) -> None:
    waiver = {"covers": axes, "at_most": 0.12}
    assert _covers(waiver, (f"sex: men and women differ by {gap} in sensitivity",)) is is_covered
    assert not _covers(waiver | {"at_most": "0.2"}, (f"sex: men and women differ by {gap}",))
    assert not _covers(waiver, ("sex: the figures are missing",))


@pytest.mark.parametrize(("words", "is_enough"), [(19, False), (20, True)])
def test_the_reason_of_a_waiver_has_twenty_different_words_and_a_figure(words: int, *, is_enough: bool) -> None:
    letters = "abcdefghijklmnopqrst"
    reason = " ".join(f"word{letter}" for letter in letters[:words])
    problem = waiver_problem({"reason": f"{reason} 12", "by": ""})
    assert ("different words" not in str(problem)) is is_enough
    assert "different words" in str(waiver_problem({"reason": reason, "by": ""}))


@pytest.mark.parametrize(
    ("granted", "expires", "is_in_force"),
    [
        ("2026-11-20", "2026-11-21", True),
        ("2026-11-21", "2027-11-21", False),
        ("2026-01-01", "2026-11-20", False),
        ("2026-01-01", "2027-01-02", True),
        ("2026-01-01", "2027-01-03", False),
        ("soon", "2027-01-01", False),
        ("2026-01-01", None, False),
    ],
)
def test_a_waiver_holds_from_its_first_day_to_the_one_before_its_end_for_a_leap_year_at_most(
    granted: str, expires: str | None, *, is_in_force: bool
) -> None:
    assert _in_force({"granted": granted, "expires": expires}, date(2026, 11, 20)) is is_in_force
    assert _in_force({"granted": granted}, date(2026, 11, 20)) is False


def test_small_groups_together_have_the_mean_of_their_people_and_the_variance_of_it() -> None:
    """Sensitivity is of those with the event, the rate of false positives of those without."""
    small = [
        {"n": 100, "events": 30, "sensitivity": _rate(0.5, 0.2), "false_positive_rate": _rate(0.2, 0.1)},
        {"n": 40, "events": 10, "sensitivity": _rate(0.9, 0.4), "false_positive_rate": _rate(0.6, 0.2)},
    ]
    together = fairness._together(small, "sensitivity")["sensitivity"]
    assert together["value"] == pytest.approx((30 * 0.5 + 10 * 0.9) / 40)
    half = ((30 * 0.2) ** 2 + (10 * 0.4) ** 2) ** 0.5 / 40
    assert (together["low"], together["high"]) == pytest.approx((0.6 - half, 0.6 + half))
    assert fairness._together(small, "false_positive_rate")["false_positive_rate"]["value"] == pytest.approx(
        (70 * 0.2 + 30 * 0.6) / 100
    )
