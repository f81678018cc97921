"""Net benefits and the calibration of a model: the numbers against another way of computing them."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from models_onnx.artifact.manifest import Manifest
from models_onnx.model_card.plots import (
    Bin,
    bins_of,
    net_benefit_of_everybody,
    net_benefits,
)
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


def test_the_bins_of_a_manifest_are_its_people_and_their_events() -> None:
    one_bin = SimpleNamespace(probability_low=0.2, count=50, rate=0.1, predicted=0.12, low=0.05, high=0.2)
    manifest = cast(Manifest, SimpleNamespace(reference=SimpleNamespace(bins=[one_bin])))
    assert bins_of(manifest) == [Bin(0.2, 50, 5.0, 0.12, 0.05, 0.2)]
