"""The risk of an event beside a competing one: by the formula of the cumulative incidence, and its shares."""

import numpy as np
import pytest

from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves
from models_onnx.workbench.compiler.families.incidence import CauseHazards, IncidenceModel
from tests.models_onnx.workbench.compiler.people import BrokenLine, piecewise, says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE

HAZARDS = CauseHazards((0.1, 0.0, 0.2), (0.05, 0.3, 0.1), (1, 3))


def _risks(m: float, n: float) -> list[float]:
    """The risk at the end of the first and of the third interval."""
    alive, incidence, risks = 1.0, 0.0, []
    for event, competing in zip(HAZARDS.event, HAZARDS.competing, strict=True):
        h, c = event * np.exp(m), competing * np.exp(n)
        incidence += alive * h / (h + c) * (1 - np.exp(-h - c))
        alive *= np.exp(-h - c)
        risks.append(float(incidence))
    return [risks[0], risks[2]]


def _loglog(risk: float) -> float:
    return float(np.log(-np.log(1 - risk)))


@pytest.mark.parametrize(("m", "n"), [(0.0, 0.0), (0.5, -1.0), (-2.0, 1.5)])
def test_the_margins_of_a_risk_beside_a_competing_one(m: float, n: float) -> None:
    margins = HAZARDS.margins(np.array([m]), np.array([n]))
    assert margins[0] == pytest.approx([_loglog(risk) for risk in _risks(m, n)])


def test_the_link_has_the_risk_of_the_reference_at_each_horizon() -> None:
    link = HAZARDS.link([1.0, 5.0])
    assert (link.horizons, link.main) == ((1.0, 5.0), 5.0)
    assert link.hazards == pytest.approx([-np.log(1 - risk) for risk in _risks(0.0, 0.0)])
    assert link.metadata() == {
        "horizons": "[1.0,5.0]", "horizon": "5.0", "horizon_unit": "years", "incidence": "true",
    }  # fmt: skip
    with pytest.raises(NotImplementedError, match="follows from both hazards"):
        link.risk(np.zeros(1))


def _lines(first: float, second: float) -> AdditiveCurves:
    return piecewise(
        (BrokenLine("a", (0.0,), (first,), 0.5 * first, 10.0, 10.0), BrokenLine("b", (0.0,), (second,), 0.0, 8.0, 9.0)),
        0.0,
    )


EVENT, OTHER = _lines(0.4, -0.2), _lines(0.1, 0.3)
MODEL = IncidenceModel(EVENT, OTHER, HAZARDS, HAZARDS.link([1.0, 5.0]), 0.25, 1.5)
ROWS = np.array([[1.0, 2.0], [3.0, 0.0], [np.nan, 4.0], [0.5, 0.0], [np.nan, np.nan], [0.5, 1.0]])


def test_the_margin_is_recalibrated_at_every_horizon() -> None:
    plain = IncidenceModel(EVENT, OTHER, HAZARDS, HAZARDS.link([1.0, 5.0]))
    assert MODEL.margins(ROWS) == pytest.approx(0.25 + 1.5 * plain.margins(ROWS))
    moved = MODEL.recalibrated(0.1, 2.0)
    assert (moved.intercept, moved.slope) == (0.6, 3.0)
    assert MODEL.margin(ROWS) == pytest.approx(MODEL.margins(ROWS)[:, 1])
    assert plain.base == pytest.approx(_loglog(_risks(0.0, 0.0)[1]))
    assert MODEL.base == pytest.approx(0.25 + 1.5 * plain.base)


def test_the_file_says_the_same() -> None:
    told = says(write_file("m", MODEL, REFERENCE, {}), ROWS)
    assert told["contributions"] == pytest.approx(MODEL.contributions(ROWS), abs=1e-7)
    assert told["margin"] == pytest.approx(MODEL.margin(ROWS), abs=1e-7)
    assert told["risk"] == pytest.approx(-np.expm1(-np.exp(MODEL.margins(ROWS))), abs=1e-7)
    assert told["survival"] == pytest.approx(np.exp(-np.exp(MODEL.margins(ROWS))), abs=1e-7)
    assert told["probability"] == pytest.approx(told["risk"][:, 1], abs=1e-9)


def test_its_inputs_and_their_range_are_those_of_the_events_lines() -> None:
    assert (MODEL.features, MODEL.low, MODEL.high) == (("a", "b"), (0.0, 0.0), (10.0, 9.0))
    assert MODEL.edges == ((0.0, 10.0), (0.0, 8.0))
