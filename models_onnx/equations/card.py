"""The 13 source attributes of a published equation.

The attributes are those of 45 CFR 170.315(b)(11)(iv)(A), made from the declaration. E5 to E13, the uses of demographic
and social data, are derived from the inputs, so that they cannot differ from them.
"""

from models_onnx.equations.declaration import Equation, EquationInput
from models_onnx.model_card.attributes import USED_VARIABLES

DEVELOPER = "the cds-hooks-onnx project (translation of the published equation; not its authors)"
FUNDING = "self-funded: no outside funding of this translation"

# USCDI: smoking status, mental and cognitive status are health status assessments.
_HEALTH_STATUS = frozenset({"smokes", "has_alcohol_use"})


def source_attributes(equation: Equation) -> dict[str, str]:
    """Return the 13 attributes by the key of responsible-ai.md 1.2, in its order; none is blank."""
    address = f" https://doi.org/{equation.doi}" if equation.doi else ""
    return {
        "evidence.citation": f"{equation.citation}.{address}",
        "evidence.developer": DEVELOPER,
        "evidence.funding": FUNDING,
        "evidence.dates": f"published {equation.published}; this translation revised {equation.reviewed}",
        **{f"evidence.uses.{key}": _use(equation, key, words) for key, words in USED_VARIABLES.items()},
    }


def _kind(item: EquationInput) -> str | None:
    if item.name == "race_group":
        return "race"
    if item.feature == "age_years":
        return "date_of_birth"
    if item.feature == "sex_male":
        return "sex"
    return "health_status" if item.feature in _HEALTH_STATUS else None


def _use(equation: Equation, key: str, words: str) -> str:
    names = [item.name for item in equation.inputs if _kind(item) == key]
    if not names:
        return f"not used: no input is {words}"
    return f"used: {', '.join(equation.input(name).words for name in names)} ({', '.join(names)})"
