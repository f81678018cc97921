"""The model card of a published equation: the 13 source attributes of an evidence-based intervention.

They are those of 45 CFR 170.315(b)(11)(iv)(A), made from the declaration. E5 to E13, the uses of demographic and social
data, are derived from the inputs, so that they cannot differ from them.
"""

from typing import Any

from models_onnx.equations.declaration import Equation, EquationInput, find_equations, get_equation
from models_onnx.model_card.attributes import CARD_FORMAT, EVIDENCE, USED_VARIABLES, project_words, set_attribute

DEVELOPER = "the cds-hooks-onnx project (translation of the published equation; not its authors)"
FUNDING = "self-funded: no outside funding of this translation"

# USCDI: smoking status, mental and cognitive status are health status assessments.
_HEALTH_STATUS = frozenset({"smokes", "phq9_total", "gad7_total", "has_alcohol_use"})


def source_attributes(equation: Equation) -> dict[str, str]:
    """Returns the 13 attributes by the key of responsible-ai.md 1.2, in its order; none is blank."""
    address = f" https://doi.org/{equation.doi}" if equation.doi else ""
    return {
        "evidence.citation": f"{equation.citation}.{address}",
        "evidence.developer": DEVELOPER,
        "evidence.funding": FUNDING,
        "evidence.dates": f"published {equation.published}; this translation revised {equation.reviewed}",
        **{f"evidence.uses.{key}": _use(equation, key, words) for key, words in USED_VARIABLES.items()},
    }


def inputs_of_kind(equation: Equation, key: str) -> tuple[str, ...]:
    """Returns the names of the inputs that are of this kind of data (a key such as `race` or `date_of_birth`)."""
    return tuple(item.name for item in equation.inputs if _kind(item) == key)


def _kind(item: EquationInput) -> str | None:
    if item.name == "race_group":
        return "race"
    if item.feature == "age_years":
        return "date_of_birth"
    if item.feature == "sex_male":
        return "sex"
    return "health_status" if item.feature in _HEALTH_STATUS else None


def _use(equation: Equation, key: str, words: str) -> str:
    names = inputs_of_kind(equation, key)
    if not names:
        return f"not used: no input is {words}"
    return f"used: {', '.join(equation.input(name).words for name in names)} ({', '.join(names)})"


def has_equation(name: str) -> bool:
    """Returns whether there is an equation of that id."""
    return name in find_equations()


def equation_card(name: str) -> dict[str, Any]:
    """Returns the card of that equation; UnknownEquation where there is none."""
    equation = get_equation(name)
    card: dict[str, Any] = {
        "format": CARD_FORMAT,
        "kind": "evidence-based",
        "model": {"id": equation.id, "version": equation.version, "title": equation.title},
    }
    words = source_attributes(equation)
    for attribute in EVIDENCE:
        set_attribute(card, attribute.path, {"words": words.get(attribute.path, ""), "from": "declared"})
    common = project_words()["product"]
    card["product"] = {name: common[name] for name in ("section_1557", "statement", "security")} | _product(equation)
    return card


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
