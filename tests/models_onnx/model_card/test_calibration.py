"""Net benefits and the calibration of a model: the numbers against another way of computing them."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from models_onnx.artifact.manifest import Manifest
from models_onnx.model_card.calibration import Dot, Tick, calibration, net_benefit_of_everybody, net_benefits
from models_onnx.serving.registry import load_model


def test_net_benefit_of_a_model_that_was_signed_without_it_follows_from_its_rows() -> None:
    trained = load_model("mortality_5y").manifest
    rows = tuple(msgspec.structs.replace(row, net_benefit=None) for row in trained.thresholds.table)
    thresholds = msgspec.structs.replace(trained.thresholds, table=rows, net_benefit_all=None)
    without = msgspec.structs.replace(trained, thresholds=thresholds)
    assert net_benefits(without) == pytest.approx(net_benefits(trained), abs=2e-4)
    assert net_benefit_of_everybody(without) == pytest.approx(net_benefit_of_everybody(trained), abs=5e-3)


# Places, ends of axes and shares of the drawings of a card, worked out by hand, where few people or none are.


def _row(**facts: Any) -> Any:
    return SimpleNamespace(**{"alert_rate": 0.2, "ppv": 0.3, "sensitivity": 0.6, "net_benefit": None, **facts})


def _manifest(*rows: Any, alerts: float | None = None, everybody: float | None = None) -> Manifest:
    thresholds = SimpleNamespace(
        table=rows, alerts_per_event=alerts, net_benefit_all=everybody, default=rows[0] if rows else None
    )
    return cast(Manifest, SimpleNamespace(thresholds=thresholds))


def test_net_benefit_of_everybody_as_it_was_computed_and_where_nothing_is_found() -> None:
    assert net_benefit_of_everybody(_manifest(_row(), everybody=0.0)) == 0.0
    assert net_benefit_of_everybody(_manifest(_row(sensitivity=0.0))) == -0.25


def test_groups_are_drawn_against_the_diagonal_and_stand_in_the_table() -> None:
    """The axes end at 0.25, the next 0.05 above 0.2: a share of 0.1 lies at two fifths of 300 and of 192."""
    groups = [
        SimpleNamespace(count=50, rate=0.1, predicted=0.1, low=0.05, high=0.2),
        SimpleNamespace(count=1500, rate=0.05, predicted=0.15, low=0.0, high=0.1),
        SimpleNamespace(count=0, rate=0.9, predicted=0.9, low=0.0, high=1.0),
    ]
    drawn = calibration(cast(Manifest, SimpleNamespace(reference=SimpleNamespace(bins=groups))))
    assert drawn.dots == (Dot(168.0, 127.2, 50.4, 165.6), Dot(228.0, 165.6, 127.2, 204.0))
    assert drawn.ticks[::4] == (Tick(48.0, 204.0, "0"), Tick(348.0, 12.0, "25"))
    assert "In 1 of 2 groups the estimate lies within it." in drawn.text
    assert drawn.rows == (("10.0", "10.0", "5.0 to 20.0", "50"), ("15.0", "5.0", "0.0 to 10.0", "1,500"))
