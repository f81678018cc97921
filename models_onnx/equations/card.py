"""The model card of a published equation with its 13 source attributes, and what is printed of it as JSON.

The attributes are those of 45 CFR 170.315(b)(11)(iv)(A), made from the declaration. E5 to E13, the uses of demographic
and social data, are derived from the inputs, so that they cannot differ from them.
"""

from typing import Any

import msgspec

from models_onnx.equations.calculate import EquationResult
from models_onnx.equations.declaration import Equation, EquationInput, get_equation
from models_onnx.errors import EquationRefused
from models_onnx.model_card.attributes import CARD_FORMAT, EVIDENCE, USED_VARIABLES, project_words, set_attribute

DEVELOPER = "the cds-hooks-onnx project (translation of the published equation; not its authors)"
FUNDING = "self-funded: no outside funding of this translation"

# USCDI: smoking status, mental and cognitive status are health status assessments.
_HEALTH_STATUS = frozenset({"smokes", "phq9_total", "gad7_total", "has_alcohol_use"})


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


def inputs_of_kind(equation: Equation, key: str) -> tuple[str, ...]:
    """Return the names of the inputs that are of this kind of data (a key such as `race` or `date_of_birth`)."""
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


def equation_card(name: str) -> dict[str, Any]:
    """Return the card of that equation; UnknownEquation where there is none."""
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


def equation_document(equation: Equation) -> dict[str, Any]:
    """Return everything that an equation declares, with its card."""
    parts = {"inputs": equation.inputs, "outputs": equation.outputs, "bands": equation.bands, "rates": equation.rates}
    # A function that says whom a table of bands is for has no JSON form.
    declared = {name: msgspec.to_builtins(part, enc_hook=lambda _: None, str_keys=True) for name, part in parts.items()}
    return {"id": equation.id, "attributes": source_attributes(equation), **equation_card(equation.id), **declared}


def result_document(outcome: EquationResult | EquationRefused) -> dict[str, Any]:
    """Return a value with its working and its band, or the refusal with its reason."""
    if isinstance(outcome, EquationRefused):
        return {"refused": outcome.reason, "text": outcome.text, "inputs": list(outcome.inputs)}
    return {
        "equation": outcome.equation.id,
        "version": outcome.equation.version,
        "output": outcome.output.id,
        "value": outcome.value,
        "unit": outcome.output.unit,
        "link": outcome.working.link,
        "base": outcome.working.base,
        "contributions": msgspec.to_builtins(outcome.working.contributions),
        "band": outcome.band
        and {"id": outcome.band.id, "words": outcome.band.words, "source": outcome.table and outcome.table.source},
        "rates": [{"rate": rate, "words": rates.words, "source": rates.source} for rates, rate in outcome.rates()],
    }


def _product(equation: Equation) -> dict[str, Any]:
    horizons = [output.horizon_years for output in equation.outputs if output.horizon_years]
    return {
        "population": equation.population,
        "not_for": [exclusion.words for exclusion in equation.exclusions],
        "cautions": list(equation.cautions),
        "reference_cohort": equation.reference,
        **({"horizon_hours": min(horizons) * 8766.0} if horizons else {}),
    }
