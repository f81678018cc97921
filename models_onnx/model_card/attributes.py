"""The source attributes of 45 CFR 170.315(b)(11)(iv): the 31 of a predictive intervention.

Nine of them say which demographic and social variables are used: race, ethnicity, language, sexual orientation, gender
identity, sex, date of birth, social determinants, health status assessments, as in 45 CFR 170.213 (USCDI v3: data
classes Patient Demographics, Social Determinants of Health, Health Status Assessments, to which smoking status
belongs). For a model this is worked out from where its inputs are read.
"""

import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from itertools import groupby
from typing import Any, Protocol

from msgspec import Struct

from fhir.terminology.package_tables import package_rows

Card = dict[str, Any]
CARD_FORMAT = "cds-hooks-onnx/model-card/1"


class Attribute(Struct, frozen=True):
    """One attribute: `section.key` is its place in the card."""

    number: str
    cite: str
    section: str
    key: str
    title: str
    may_be_unavailable: bool = False

    @property
    def path(self) -> str:
        """Where the card holds it, for example `purpose.users`."""
        return f"{self.section}.{self.key}"


PREDICTIVE: tuple[Attribute, ...] = tuple(
    Attribute(str(number), row["cite"], row["section"], row["key"], row["title"], row["may_be_unavailable"] == "yes")
    for number, row in enumerate(package_rows("models_onnx.model_card", "attributes.csv"), 1)
)
SECTIONS = {
    "details": "What it is and what comes out",
    "purpose": "What for, for whom, by whom",
    "cautions": "What it is not for, and its risks",
    "development": "What it was built from",
    "fairness": "Fairness",
    "external": "Tested by others",
    "performance": "How well it does",
    "maintenance": "How it is watched",
    "updates": "How it is kept up",
}

_VARIABLES = package_rows("models_onnx.model_card", "used_variables.csv")
USED_VARIABLES = {row["variable"]: row["words"] for row in _VARIABLES}
# FHIR elements and US Core extensions, as the beginning of what an input is read from.
_ELEMENTS = [(start, row["variable"]) for row in _VARIABLES for start in row["fhir"].split("|") if start]
# LOINC: codes that are such an assessment. Sources: US Core 6.1 (smoking status, sexual orientation, gender identity),
# the PHQ and GAD panels, PRAPARE and the Hunger Vital Sign panel, self-rated health.
_LOINC = {code: row["variable"] for row in _VARIABLES for code in row["loinc"].split("|")}


class ReadInput(Protocol):
    """An input and where it is read from."""

    @property
    def name(self) -> str: ...
    @property
    def words(self) -> str: ...
    @property
    def fhir(self) -> str: ...
    @property
    def loinc(self) -> Sequence[str]: ...


def used_as(item: ReadInput) -> frozenset[str]:
    """Return which of the nine an input is; empty for most."""
    return frozenset(
        {element for start, element in _ELEMENTS if item.fhir.startswith(start)}
        | {_LOINC[code] for code in item.loinc if code in _LOINC}
    )


def variables_used(features: Iterable[ReadInput]) -> dict[str, list[str]]:
    """For each of the nine the names of the inputs that use it; an empty list where it is not used."""
    inputs: dict[str, list[str]] = {name: [] for name in USED_VARIABLES}
    for item in features:
        for element in used_as(item):
            inputs[element].append(item.name)
    return inputs


def variables_used_in_words(inputs_by_variable: dict[str, list[str]]) -> str:
    """Return one sentence on what is used and one on what is not."""
    used = [
        f"{USED_VARIABLES[name]} (input {', '.join(inputs)})" for name, inputs in inputs_by_variable.items() if inputs
    ]
    unused = [USED_VARIABLES[name] for name, inputs in inputs_by_variable.items() if not inputs]
    return (
        f"Used as inputs: {'; '.join(used) if used else 'none of the nine'}. "
        f"Not used: {', '.join(unused) if unused else 'none'}."
    )


def attribute_of(card: Card, path: str) -> dict[str, Any]:
    """Return the attribute at a place, for example `purpose.users`, as the card holds it; empty where it does not."""
    section, _, key = path.partition(".")
    part = card.get(section)
    value = part.get(key) if isinstance(part, dict) else None
    return value if isinstance(value, dict) else {}


def card_sections(card: Card) -> list[dict[str, Any]]:
    """Return every attribute with what the card says of it, in its order, section by section."""
    by_section = groupby(PREDICTIVE, key=lambda attribute: attribute.section)
    return [
        {"title": SECTIONS[name], "rows": [(row, attribute_of(card, row.path)) for row in rows]}
        for name, rows in by_section
    ]


def project_words() -> dict[str, Any]:
    """Return the words that are the same on every card of this project: `attributes` by place, and `product`."""
    text = (files("models_onnx.model_card") / "defaults.card.json").read_text(encoding="utf-8")
    words: dict[str, Any] = json.loads(text)
    return words
