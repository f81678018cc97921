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


# One row each: cite inside (b)(11)(iv)(B), place, title. "?" at the end of the cite: may be "not available".
_PREDICTIVE = (
    ("(1)(i)", "details.developer", "Developer, with name and contact"),
    ("(1)(ii)", "details.funding", "Who paid for the technical implementation"),
    ("(1)(iii)", "details.output_value", "The value that comes out"),
    (
        "(1)(iv)",
        "details.output_kind",
        "Kind of output: prediction, classification, recommendation, evaluation, analysis",
    ),
    ("(2)(i)", "purpose.intended_use", "Intended use"),
    ("(2)(ii)", "purpose.population", "Intended patients"),
    ("(2)(iii)", "purpose.users", "Intended users"),
    ("(2)(iv)", "purpose.decision_role", "Role in the decision: informs, augments or replaces"),
    ("(3)(i)", "cautions.out_of_scope", "Tasks, situations and patients it is not for"),
    ("(3)(ii)", "cautions.known_risks", "Known risks, inappropriate settings and limits"),
    ("(4)(i)", "development.criteria", "Who is in the training data and who was left out"),
    ("(4)(ii)", "development.uses", "Use of the nine demographic and social variables as inputs"),
    ("(4)(iii)", "development.representativeness", "Whom the training data stand for"),
    ("(4)(iv)", "development.relevance", "How well the training data fit the place of use"),
    ("(5)(i)", "fairness.approach", "How the output was made fair"),
    ("(5)(ii)", "fairness.mitigation", "How bias is managed, reduced or removed"),
    ("(6)(i)?", "external.source", "External validation: data and setting"),
    ("(6)(ii)?", "external.party", "External validation: who did it"),
    ("(6)(iii)?", "external.representativeness", "External validation: whom its data stand for"),
    ("(6)(iv)?", "external.process", "External validation: how it was done"),
    ("(7)(i)", "performance.internal_validity", "Validity on data of the same source"),
    ("(7)(ii)", "performance.internal_fairness", "Fairness on data of the same source"),
    ("(7)(iii)?", "performance.external_validity", "Validity on external data"),
    ("(7)(iv)?", "performance.external_fairness", "Fairness on external data"),
    ("(7)(v)?", "performance.outcome_evaluations", "Studies of its effect on outcomes"),
    ("(8)(i)", "maintenance.validity_monitoring", "How and how often validity is watched"),
    ("(8)(ii)?", "maintenance.local_validity", "Validity in local data"),
    ("(8)(iii)", "maintenance.fairness_monitoring", "How and how often fairness is watched"),
    ("(8)(iv)?", "maintenance.local_fairness", "Fairness in local data"),
    ("(9)(i)?", "updates.process", "How and how often it is updated"),
    ("(9)(ii)?", "updates.correction", "How fast performance is corrected when a risk is found"),
)


def _attribute(number: str, cite: str, path: str, title: str) -> Attribute:
    section, _, key = path.partition(".")
    return Attribute(number, cite.rstrip("?"), section, key, title, cite.endswith("?"))


PREDICTIVE: tuple[Attribute, ...] = tuple(
    _attribute(str(number), f"(B){cite}", path, title) for number, (cite, path, title) in enumerate(_PREDICTIVE, 1)
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

USED_VARIABLES: dict[str, str] = {
    "race": "race",
    "ethnicity": "ethnicity",
    "language": "language",
    "sexual_orientation": "sexual orientation",
    "gender_identity": "gender identity",
    "sex": "sex",
    "date_of_birth": "date of birth",
    "sdoh": "social determinants of health",
    "health_status": "health status assessment",
}

# FHIR elements and US Core extensions, as the beginning of what an input is read from.
_ELEMENTS = (
    ("Patient.birthDate", "date_of_birth"),
    ("Patient.gender", "sex"),
    ("Patient.extension:us-core-birthsex", "sex"),
    ("Patient.extension:us-core-sex", "sex"),
    ("Patient.extension:us-core-race", "race"),
    ("Patient.extension:us-core-ethnicity", "ethnicity"),
    ("Patient.extension:us-core-genderIdentity", "gender_identity"),
    ("Patient.communication", "language"),
    ("Patient.address", "sdoh"),
    ("Patient.maritalStatus", "sdoh"),
    ("Coverage", "sdoh"),
)
# LOINC: codes that are such an assessment. Sources: US Core 6.1 (smoking status, sexual orientation, gender identity),
# the PHQ and GAD panels, PRAPARE and the Hunger Vital Sign panel, self-rated health.
_LOINC = {
    "76690-7": "sexual_orientation",
    "76691-5": "gender_identity",
    "32624-9": "race",
    "69490-1": "ethnicity",
    "54899-0": "language",
    "46098-0": "sex",
    "76689-9": "sex",
    "30525-0": "date_of_birth",
    "21112-8": "date_of_birth",
    "72166-2": "health_status",
    "44261-6": "health_status",
    "55758-7": "health_status",
    "70274-6": "health_status",
    "11323-3": "health_status",
    "93025-5": "sdoh",
    "88124-3": "sdoh",
    "82589-3": "sdoh",
    "63512-8": "sdoh",
    "71802-3": "sdoh",
}


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


def attribute_of(card: Card, attribute: Attribute) -> dict[str, Any]:
    """Return the attribute as the card holds it; empty where it does not."""
    value: Any = card
    for step in attribute.path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def card_sections(card: Card) -> list[dict[str, Any]]:
    """Return every attribute with what the card says of it, in its order, section by section."""
    by_section = groupby(PREDICTIVE, key=lambda attribute: attribute.section)
    return [
        {"title": SECTIONS[name], "rows": [(row, attribute_of(card, row)) for row in rows]} for name, rows in by_section
    ]


def set_attribute(card: Card, path: str, value: dict[str, Any]) -> None:
    """Write an attribute into the card at its place, for example `purpose.users`."""
    *steps, last = path.split(".")
    part = card
    for step in steps:
        part = part.setdefault(step, {})
    part[last] = value


def project_words() -> dict[str, Any]:
    """Return the words that are the same on every card of this project: `attributes` by place, and `product`."""
    text = (files("models_onnx.model_card") / "defaults.card.json").read_text(encoding="utf-8")
    words: dict[str, Any] = json.loads(text)
    return words
