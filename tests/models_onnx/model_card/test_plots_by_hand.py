"""Places, ends of axes and shares of the drawings of a card, worked out by hand, where few people or none are."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from models_onnx.artifact.manifest import Manifest
from models_onnx.model_card import plots
from models_onnx.model_card.plots import (
    Axes,
    Bin,
    Operating,
    Tick,
    bins_of,
    net_benefit_of_everybody,
    net_benefits,
    operating_points,
)


def test_a_place_on_an_axis_and_its_labels() -> None:
    axes = Axes(0, 2, -1, 1)
    assert [axes.x(value) for value in (-1, 0, 0.5, 1, 2, 3)] == [48, 48, 123, 198, 348, 348]
    assert [axes.y(value) for value in (-2, -1, 0, 0.5, 1, 2)] == [204, 204, 108, 60, 12, 12]
    assert axes.points([(0, -1), (1, 0.123)]) == "48,204 198,96.2"
    assert axes.x_ticks() == (Tick(48, "0"), Tick(123, "0.5"), Tick(198, "1"), Tick(273, "1.5"), Tick(348, "2"))
    assert [tick.label for tick in axes.y_ticks(100)] == ["-100", "-50", "0", "50", "100"]
    assert [tick.label for tick in axes.y_ticks()] == ["-1", "-0.5", "0", "0.5", "1"]
    assert [tick.label for tick in Axes(0, 1, 0, 1).x_ticks(100)] == ["0", "25", "50", "75", "100"]
    nowhere = Axes(1, 1, 0, 1)
    assert (nowhere.x(0), nowhere.x(1)) == (198, 198), "an axis without length has its middle"


@pytest.mark.parametrize(
    ("value", "end"), [(0.0, 0.05), (0.049, 0.05), (0.05, 0.1), (0.12, 0.15), (0.96, 1.0), (1.0, 1.0), (3.0, 1.0)]
)
def test_an_axis_ends_at_the_next_twentieth_and_at_one(value: float, end: float) -> None:
    assert plots._above(value) == pytest.approx(end)


@pytest.mark.parametrize(
    ("value", "label"),
    [(0.0, "0"), (-1e-10, "0"), (1e-10, "0"), (2e-9, "2e-09"), (0.3333, "0.333"), (1234, "1.23e+03")],
)
def test_a_label_has_three_digits_and_no_minus_nothing(value: float, label: str) -> None:
    assert plots._label(value) == label


def test_shares_in_words() -> None:
    assert (plots._100(0.126), plots._1(0.1264), plots._1(1.0)) == ("13", "12.6", "100.0")
    assert plots._figure({"value": 0.81234, "low": 0.8, "high": 0.85}) == "0.812 (0.800 to 0.850)"
    for lacking in ("value", "low", "high"):
        assert plots._figure({"value": 0.8, "low": 0.7, "high": 0.9, lacking: None}) == "cannot be computed"
    assert plots._figure({}) == "cannot be computed"
    seen: dict[str, float | None] = {"value": 0.2, "low": 0.1, "high": 0.35}
    assert plots._without_event(seen) == ("80.0", "65.0 to 90.0")
    for lacking in ("value", "low", "high"):
        assert plots._without_event({**seen, lacking: None}) == ("not computable", "")


@pytest.mark.parametrize(
    ("count", "kept"),
    [
        (0, []),
        (1, [0]),
        (12, list(range(12))),
        (13, [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]),
        (23, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]),
    ],
)
def test_a_table_has_at_most_a_dozen_rows_the_first_and_the_last_among_them(count: int, kept: list[int]) -> None:
    assert plots._thinned([(str(number),) for number in range(count)]) == tuple((str(number),) for number in kept)


def test_what_alerting_from_each_bin_on_finds() -> None:
    """Of 100 people 20 have the event: 12 of the 20 highest, 6 of the 30 in the middle, 2 of the 50 lowest."""
    bins = [Bin(0.0, 50, 2, 0.03, 0, 0.1), Bin(0.1, 30, 6, 0.2, 0.1, 0.3), Bin(0.4, 20, 12, 0.5, 0.4, 0.8)]
    assert operating_points(bins) == [
        Operating(0.4, 0.2, 0.6, 0.1, 0.6),
        Operating(0.1, 0.5, 0.9, 0.4, 0.36),
        Operating(0.0, 1.0, 1.0, 1.0, 0.2),
    ]
    assert [row.rate for row in bins] == [0.04, 0.2, 0.6]
    assert operating_points(bins)[0].net_benefit(0.25) == pytest.approx(0.12 - 0.25 * 0.08)
    assert Bin(0, 0, 0, 0, 0, 0).rate == 0.0


def test_where_nobody_or_everybody_has_the_event_a_share_of_them_is_none() -> None:
    nobody = operating_points([Bin(0.0, 10, 0, 0.1, 0, 1), Bin(0.5, 0, 0, 0.5, 0, 1)])
    assert nobody == [Operating(0.5, 0.0, 0.0, 0.0, 0.0), Operating(0.0, 1.0, 0.0, 1.0, 0.0)]
    everybody = operating_points([Bin(0.0, 10, 10, 0.1, 0, 1)])
    assert everybody == [Operating(0.0, 1.0, 1.0, 0.0, 1.0)]


def _row(**facts: Any) -> Any:
    return SimpleNamespace(**{"alert_rate": 0.2, "ppv": 0.3, "sensitivity": 0.6, "net_benefit": None, **facts})


def _manifest(*rows: Any, alerts: float | None = None, everybody: float | None = None) -> Manifest:
    thresholds = SimpleNamespace(
        table=rows, alerts_per_event=alerts, net_benefit_all=everybody, default=rows[0] if rows else None
    )
    return cast(Manifest, SimpleNamespace(thresholds=thresholds))


@pytest.mark.parametrize(
    ("alerts", "benefit", "everybody"),
    [
        (None, 0.2 * (0.3 - 0.7 / 4), 0.1 - 0.9 / 4),
        (5.0, 0.2 * (0.3 - 0.7 / 4), 0.1 - 0.9 / 4),
        (3.0, 0.2 * (0.3 - 0.7 / 2), 0.1 - 0.9 / 2),
    ],
)
def test_net_benefit_weighs_false_alerts_by_the_alerts_that_an_event_is_worth(
    alerts: float | None, benefit: float, everybody: float
) -> None:
    """A tenth has the event: 0.2 * 0.3 / 0.6."""
    manifest = _manifest(_row(), _row(net_benefit=0.0), _row(net_benefit=0.07), alerts=alerts)
    assert net_benefits(manifest) == pytest.approx([benefit, 0.0, 0.07])
    assert net_benefit_of_everybody(manifest) == pytest.approx(everybody)


def test_net_benefit_of_everybody_as_it_was_computed_and_where_nothing_is_found() -> None:
    assert net_benefit_of_everybody(_manifest(_row(), everybody=0.0)) == 0.0
    assert net_benefit_of_everybody(_manifest(_row(sensitivity=0.0))) == -0.25


def test_the_bins_of_a_manifest_are_its_people_and_their_events() -> None:
    one_bin = SimpleNamespace(probability_low=0.2, count=50, rate=0.1, predicted=0.12, low=0.05, high=0.2)
    manifest = cast(Manifest, SimpleNamespace(reference=SimpleNamespace(bins=[one_bin])))
    assert bins_of(manifest) == [Bin(0.2, 50, 5.0, 0.12, 0.05, 0.2)]


def test_a_decision_curve_that_is_worth_something_in_part_or_nowhere() -> None:
    manifest = cast(Manifest, SimpleNamespace(row_words="stays"))
    points = [Operating(0.5, 0.1, 0.5, 0.03, 0.8), Operating(0.2, 0.4, 0.8, 0.3, 0.32), Operating(0.0, 1, 1, 1, 0.16)]
    decision = plots._decision(points, 0.16, manifest)
    assert decision.text.startswith(
        "From a threshold of 20.0 to one of 50.0 in 100 it is worth more than alerting everybody or nobody."
    )
    # 0.4 * (0.32 - 0.68 / 4) = 0.06, and 0.16 - 0.84 / 4 = -0.05; 0.1 * (0.8 - 0.2) = 0.06, and 0.16 - 0.84 = -0.68
    assert decision.rows == (("50.0", "6.0", "-68.0"), ("20.0", "6.0", "-5.0"))
    assert decision.y_words == "net benefit per 100 stays"
    none = plots._decision([Operating(0.5, 0.1, 0.1, 0.1, 0.5), Operating(1.0, 0, 0, 0, 0)], 0.5, manifest)
    assert none.text.startswith("At no threshold is it worth more than alerting everybody or nobody.")
    assert none.rows == (("50.0", "0.0", "0.0"),), "a threshold of 1 has no odds"


def test_calibration_counts_the_groups_whose_interval_holds_the_estimate() -> None:
    bins = [
        Bin(0.0, 10, 1, 0.05, 0.05, 0.2),
        Bin(0.1, 10, 2, 0.3, 0.1, 0.3),
        Bin(0.4, 10, 6, 0.31, 0.32, 0.8),
        Bin(0.5, 0, 0, 0.99, 0.99, 1.0),
    ]
    drawn = plots._calibration(bins)
    assert drawn.text.startswith(
        "Each dot is a group with similar estimates; its line is the 95 % interval of what was observed. In 2 of 3 "
    )
    assert drawn.rows == (
        ("5.0", "10.0", "5.0 to 20.0", "10"), ("30.0", "20.0", "10.0 to 30.0", "10"),
        ("31.0", "60.0", "32.0 to 80.0", "10"),
    )  # fmt: skip
    assert len(drawn.dots) == 3
