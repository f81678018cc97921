"""Estimates with what happened after them, worked out by hand: assumed outcomes, rows of a table, two versions."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from cds_hooks.outcomes.followed import (
    Estimated,
    Followed,
    Performance,
    WithOutcomes,
    _assumed,
    _Basis,
    _Computed,
    _difference,
    _estimates,
    _figures,
    _samples,
    _verdict,
    compare_with_outcomes,
    table_rows,
)
from cds_hooks.outcomes.labels import Label
from cds_hooks.storage.decision import Decision

LABEL = Label("m", "death", horizon_days=30, lag_days=7)
DECIDED = int(datetime(2026, 1, 1, 23, 59, tzinfo=UTC).timestamp() * 1e6)


@pytest.mark.parametrize(
    ("through", "horizon_days", "outcome"),
    [
        ("2026-02-01", 30.0, "no"),  # 30 days after 1 January end within 31 January and 1 February
        ("2026-01-31", 30.0, None),
        ("2026-02-02", 30.5, "no"),
        ("2026-02-01", 30.5, None),
    ],
)
def test_nothing_happened_where_every_event_to_the_end_of_the_horizon_was_sent(
    through: str, horizon_days: float, outcome: str | None
) -> None:
    decision = cast(Decision, SimpleNamespace(client="ehr", decided_at=DECIDED))
    label = Label("m", "death", horizon_days, 0)
    assert _assumed(decision, {("ehr", "death"): through}, label) == outcome
    assert _assumed(decision, {("other", "death"): through, ("ehr", "stay"): through}, label) is None
    assert _assumed(decision, {}, label) is None
    assert _assumed(decision, {("ehr", ""): "2030-01-01"}, Label("m", None, 30, 0)) == "no"


def test_the_version_that_answered_is_due_unless_its_reason_says_it_was_below() -> None:
    beside = (
        _Computed("m", "2", "b", 0.25, is_due=True),
        _Computed("m", "3", "c", 0.125),
        _Computed("m", "4", "d", None, is_due=True),
    )
    scores = _Computed("m", "1", "a", 0.5, beside=beside)
    others = [Estimated("2", "b", 0.25, is_due=True), Estimated("3", "c", 0.125, is_due=False)]
    assert list(_estimates(_Basis(scores=scores))) == [Estimated("1", "a", 0.5, is_due=True), *others]
    for silence, is_due in ((("m", "below-threshold", ""), False), (("m", "suppressed", ""), True),
                            (("x", "below-threshold", ""), True)):  # fmt: skip
        estimates = list(_estimates(_Basis(scores=scores, silence=[silence])))
        assert estimates == [Estimated("1", "a", 0.5, is_due=is_due), *others]
    assert list(_estimates(_Basis())) == []


def _row(number: int, event: bool, *estimates: Estimated, patient: str = "", **more: Any) -> Followed:
    patient = patient or f"{number:08x}ffffffff"
    return Followed(f"d{number}", patient, DECIDED, more.get("features", {}), more.get("groups", ()), estimates, event)


def test_a_row_of_the_table() -> None:
    row = _row(
        7, True, Estimated("1", "a", 0.5, is_due=True), Estimated("2", "b", 0.25, is_due=True),
        features={"age": 71.0}, groups=("race Black or African American", "ethnicity Not Hispanic", "sex male"),
    )  # fmt: skip
    bare = _row(9, False, Estimated("2", "b", 0.25, is_due=False))
    assert list(table_rows([row, bare], ["age", "bmi"], "died")) == [
        {
            "row": "d7", "patient": "00000007ffffffff", "fold": 2, "year": 2026, "age": 71.0, "bmi": "",
            "race": "Black or African American", "ethnicity": "Not Hispanic", "died": 1, "estimate": 0.5,
            "estimated_by": "1",
        },
        {
            "row": "d9", "patient": "00000009ffffffff", "fold": 4, "year": 2026, "age": "", "bmi": "",
            "race": "", "ethnicity": "", "died": 0, "estimate": 0.25, "estimated_by": "2",
        },
    ]  # fmt: skip


# Two versions


def _pair(number: int, event: bool, ours: float, theirs: float) -> Followed:
    return _row(
        number,
        event,
        Estimated("2", "new", ours, is_due=ours >= 0.5),
        Estimated("1", "old", theirs, is_due=theirs >= 0.5),
    )


def test_with_fewer_than_100_events_nothing_is_said() -> None:
    few = [_pair(number, number < 99, 0.5, 0.5) for number in range(200)]
    words = "Nothing can be said of which is better: 99 events among 200 people, 100 needed."
    assert compare_with_outcomes(few, "new", 1.0) == WithOutcomes(200, 99, verdict=words)
    everybody = [_pair(number, True, 0.5, 0.5) for number in range(120)]
    words = "Nothing can be said of which is better: 120 events among 120 people, 100 needed."
    assert compare_with_outcomes(everybody, "new", 1.0) == WithOutcomes(120, 120, verdict=words)


def test_people_for_whom_only_one_version_computed_are_left_out() -> None:
    alone = [
        _row(1, True, Estimated("2", "new", 0.5, is_due=True)),
        _row(2, True, Estimated("1", "old", 0.5, is_due=True)),
    ]
    assert compare_with_outcomes([*alone, _pair(3, False, 0.1, 0.1)], "new", 1.0).people == 1


def test_a_version_that_tells_everybody_apart_beside_one_that_tells_nobody() -> None:
    rows = [_pair(number, number < 100, 0.9 if number < 100 else 0.1, 0.5) for number in range(200)]
    compared = compare_with_outcomes(rows, "new", 0.25)
    assert (compared.people, compared.events) == (200, 100)
    # Net benefit for 1,000 people: of 200 here 100 true cards; the other one 100 true and 100 false, weighed by 0.25.
    one_to_one: Any = pytest.approx(1.0)
    assert compared.version == Performance(1.0, one_to_one, 100, 500.0)
    assert compared.other == Performance(0.5, one_to_one, 200, 375.0)
    assert compared.auroc == (0.5, 0.5, 0.5)
    assert compared.net_benefit is not None
    gap, low, high = compared.net_benefit
    assert gap == 125.0
    assert 100 < low < 125 < high < 150
    assert compared.verdict.startswith("Better: its AUROC and net benefit are higher for certain. Its estimates are ")
    reverse = compare_with_outcomes(rows, "old", 0.25)
    assert reverse.auroc == (-0.5, -0.5, -0.5)
    assert reverse.verdict.startswith("Worse: its AUROC and net benefit are lower for certain. Its estimates are ")


def test_samples_are_of_patients_and_the_first_is_of_everybody_once() -> None:
    weights = _samples(["a", "b", "a", "c"])
    assert weights.shape == (501, 4)
    assert weights[0].tolist() == [1, 1, 1, 1]
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[1:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert len(np.unique(weights, axis=0)) > 5


def test_ties_count_half_and_weights_are_people() -> None:
    side = [Estimated("1", "a", value, is_due=value > 0.2) for value in (0.1, 0.3, 0.3, 0.5)]
    y, weights = np.array([0, 1, 0, 1]), np.array([[1.0, 1, 1, 1], [0.0, 2, 1, 0], [0.0, 1, 0, 1]])
    figures = _figures(side, y, weights, 0.5)
    # of four pairs three and a half are in order; of two pairs both are ties; without anybody else there is no pair
    assert figures["auroc"].tolist()[:2] == [0.875, 0.5]
    assert np.isnan(figures["auroc"][2])
    assert figures["oe"] == pytest.approx([2 / 1.2, 2 / 0.9, 2 / 0.8])
    assert figures["net_benefit"] == pytest.approx([1000 * (2 - 0.5) / 4, 1000 * (2 - 0.5) / 3, 1000.0])


def test_an_interval_is_that_of_the_samples_without_the_people_themselves() -> None:
    version, other = np.array([9.0, *range(101)]), np.zeros(102)
    assert _difference(version, other) == (9.0, 2.5, 97.5)
    assert _difference(np.array([9.0, 1.0, np.nan, 1.0]), np.zeros(4)) == (9.0, 1.0, 1.0)


_UP, _DOWN, _OPEN = (0.2, 0.1, 0.3), (-0.2, -0.3, -0.1), (0.0, -0.1, 0.1)


@pytest.mark.parametrize(
    ("auroc", "benefit", "words"),
    [
        (_UP, _UP, "Better: its AUROC and net benefit are higher for certain."),
        (_UP, _OPEN, "Better: its AUROC is higher for certain."),
        (_OPEN, _UP, "Better: its net benefit is higher for certain."),
        (_OPEN, _OPEN, "No certain difference in AUROC or net benefit."),
        ((0.1, 0.0, 0.2), (-0.1, -0.2, 0.0), "No certain difference in AUROC or net benefit."),
        (_DOWN, _UP, "Worse: its AUROC is lower for certain."),
        (_UP, _DOWN, "Worse: its net benefit is lower for certain."),
        (_DOWN, _DOWN, "Worse: its AUROC and net benefit are lower for certain."),
    ],
)
def test_the_verdict(auroc: tuple[float, float, float], benefit: tuple[float, float, float], words: str) -> None:
    both = Performance(0.7, 1.1, 1, 1.0), Performance(0.7, 0.8, 1, 1.0)
    closer = "Its estimates are nearer to what happened (O/E 1.10 and 0.80)."
    assert _verdict(auroc, benefit, both) == f"{words} {closer}"
    further = "Its estimates are further from what happened (O/E 0.80 and 1.10)."
    assert _verdict(auroc, benefit, both[::-1]) == f"{words} {further}"
