"""The model card of a published equation: the 13 attributes of an evidence-based intervention."""

from typing import Any

from models_onnx.calculation.attributes import attributes
from models_onnx.calculation.declaration import Equation
from models_onnx.calculation.finding import find_equations, get_equation
from models_onnx.card.build import evidence_card


def has_equation(name: str) -> bool:
    """Whether there is an equation of that id."""
    return name in find_equations()


def equation_card(name: str) -> dict[str, Any]:
    """The card of that equation; UnknownEquation where there is none."""
    equation = get_equation(name)
    model = {"id": equation.id, "version": equation.version, "title": equation.title}
    return evidence_card(model, attributes(equation), _product(equation))


def _product(equation: Equation) -> dict[str, Any]:
    horizons = [output.horizon_years for output in equation.outputs if output.horizon_years]
    return {
        "population": equation.population,
        "not_for": [exclusion.words for exclusion in equation.exclusions],
        "cautions": list(equation.cautions),
        "reference_cohort": equation.reference,
        **({"horizon_hours": round(min(horizons) * 8766.0, 1)} if horizons else {}),
        **({"not_on_cards": equation.not_on_cards} if equation.not_on_cards else {}),
    }
