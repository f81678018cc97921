"""From a model's card and release to the rows of its page: the source attributes by number, and how the gates stand."""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from models_onnx.card.attributes import ATTRIBUTES
from models_onnx.card.check import attribute_of
from models_onnx.card.page import SECTIONS
from models_onnx.signing.release import Release


@dataclass(frozen=True, slots=True)
class AttributeRow:
    """One attribute: its number and title, and what the card says; `available` is false where it says it cannot."""

    number: str
    title: str
    words: str
    available: bool


@dataclass(frozen=True, slots=True)
class AttributeSection:
    """Attributes that belong together, under one heading."""

    heading: str
    rows: tuple[AttributeRow, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """The release in words: its state, and which gates are green, waived or red."""

    state: str
    gates: str
    digest: str


def attribute_sections(card: dict[str, Any]) -> list[AttributeSection]:
    """Every attribute of the card in its order, section by section."""
    attributes = ATTRIBUTES[card["kind"]]
    return [
        AttributeSection(SECTIONS[name], tuple(_row(each, card) for each in group))
        for name, group in groupby(attributes, key=lambda each: each.section)
    ]


def standing(release: Release) -> Standing:
    """How the release stands."""
    gates = release.gates
    if gates is None:
        return Standing(release.state, "not run", release.digest)
    parts = [f"{len(gates.green)} passed"]
    if gates.waived:
        parts.append(f"waived with an expiry date: {', '.join(gates.waived)}")
    if gates.red:
        parts.append(f"not passed: {', '.join(gates.red)}")
    return Standing(release.state, "; ".join(parts), release.digest)


def _row(attribute: Any, card: dict[str, Any]) -> AttributeRow:
    value = attribute_of(card, attribute)
    if "not_available" in value:
        words = f"Not available as of {value['as_of']}: {value['not_available']}"
        return AttributeRow(attribute.number, attribute.title, words, available=False)
    return AttributeRow(attribute.number, attribute.title, str(value.get("words", "")), available=True)
