"""Puts a card into the words of the site's country: its names of drugs, and its units of laboratory values.

cds_hooks/call/answer.py does it at the end: rules, models and calculations have one name and one unit each, those of
the United States. `country_names.csv` and `country_units.csv` of fhir/terminology/tables have the rows. Sources keep
the titles under which they are found, and orders of the client keep its own words.
"""

import re
from collections.abc import Mapping
from functools import cache, partial
from math import floor, log10
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from cards.card import SUMMARY_LIMIT, Action, Card, Suggestion
from cards.extension import EXTENSION_KEY, CardExtension
from cards.rules.patient.measurements import name_of
from cards.text import plain, unit
from fhir.record.refusals import WhyNot
from fhir.terminology.analytes import ANALYTES, Conversion
from fhir.terminology.country import DEFAULT, own_country
from fhir.terminology.medications import RXNORM, table_rows

Json = dict[str, Any]

_ADDRESS: Final = r"https?://[^\s)]+"
_NUMBER: Final = r"\d[\d,]*(?:\.\d+)?"
_DIGITS: Final = 3
"""So many digits of a converted value are shown."""
_SIGNS: Final = {"umol/L": "µmol/L"}
_ALSO_CALLED: Final = {
    "hemoglobin": ("haemoglobin",),
    "ldl_cholesterol": ("LDL",),
    "hdl_cholesterol": ("HDL",),
    "cholesterol_total": ("total cholesterol", "cholesterol"),
    "bilirubin_total": ("bilirubin",),
    "bun": ("BUN", "urea nitrogen"),
    "uric_acid": ("urate",),
}


class _Unit(Struct, frozen=True):
    """The unit in which cards give an analyte in this country, and how its value becomes the canonical one."""

    canonical: str
    sign: str
    conversion: Conversion

    def of_canonical(self, number: str) -> str:
        """Return the number, which is in the canonical unit, in this one."""
        value = (float(number.replace(",", "")) - self.conversion.offset) / self.conversion.factor
        decimals = max(0, _DIGITS - 1 - floor(log10(abs(value)))) if value else 0
        return f"{value:,.{min(decimals, _DIGITS)}f}"


@cache
def _names() -> Mapping[str, str]:
    return {row["usan"]: row["name"] for row in table_rows("country_names.csv")}


@cache
def _name_pattern() -> re.Pattern[str]:
    names = "|".join(map(re.escape, sorted(_names(), key=len, reverse=True)))
    return re.compile(rf"(?P<address>{_ADDRESS})|\b(?:{names})\b", re.IGNORECASE)


@cache
def _units() -> Mapping[str, _Unit]:
    """The units by what a text calls the analyte, in small letters."""
    units: dict[str, _Unit] = {}
    for row in table_rows("country_units.csv"):
        analyte = ANALYTES[row["analyte"]]
        sign = _SIGNS.get(row["unit"], unit(row["unit"]))
        of_country = _Unit(unit(analyte.unit), sign, analyte.units[row["unit"]])
        names = (name_of(analyte.key), analyte.words, *_ALSO_CALLED.get(analyte.key, ()))
        units |= {name.lower(): of_country for name in names}
    return units


@cache
def _analyte_pattern() -> re.Pattern[str]:
    """Finds an analyte and, up to the next one or the end of the sentence, what is said of it."""
    names = "|".join(map(re.escape, sorted(_units(), key=len, reverse=True)))
    return re.compile(rf"\b(?P<analyte>{names})\b(?P<rest>(?:(?!\b(?:{names})\b|[.;] )[^\n])*)", re.IGNORECASE)


def text_of_country(text: str) -> str:
    """Return a text with the names and units of the country; in the United States the text itself."""
    if own_country().code == DEFAULT:
        return text
    text = _name_pattern().sub(_name_of_country, text)
    return _analyte_pattern().sub(_values_of_country, text) if _units() else text


def _name_of_country(match: re.Match[str]) -> str:
    if match["address"]:
        return match[0]
    name = _names()[match[0].lower()]
    return f"{name[0].upper()}{name[1:]}" if match[0][0].isupper() else name


def _values_of_country(match: re.Match[str]) -> str:
    of_country = _units()[match["analyte"].lower()]
    canonical, sign = re.escape(of_country.canonical), of_country.sign
    plain_sign = next((ucum for ucum, written in _SIGNS.items() if written == sign), sign)
    # A value in the country's unit was charted so: what stands in parentheses behind it says the same once more.
    rest = re.sub(rf"({_NUMBER}) {re.escape(plain_sign)}(?: \({_NUMBER} {canonical}\))?", rf"\1 {sign}", match["rest"])
    values = re.compile(rf"(?P<numbers>{_NUMBER}(?: (?:to|and|or) {_NUMBER})?) {canonical}(?![\w/])")
    return match["analyte"] + values.sub(partial(_converted, of_country), rest)


def _converted(of_country: _Unit, match: re.Match[str]) -> str:
    numbers = re.sub(_NUMBER, lambda number: of_country.of_canonical(number[0]), match["numbers"])
    return f"{numbers} {of_country.sign}"


def card_of_country(card: Card) -> Card:
    """Return the card in the words of the country; in the United States the card itself."""
    if own_country().code == DEFAULT:
        return card
    return replace(
        card,
        summary=plain(text_of_country(card.summary), SUMMARY_LIMIT),
        detail=text_of_country(card.detail) if card.detail is not None else None,
        suggestions=tuple(map(_suggestion_of_country, card.suggestions)),
        extension=_extension_of_country(card),
    )


def silences_of_country(silences: list[WhyNot]) -> list[WhyNot]:
    """Return why there is no card, in the words of the country; in the United States the list itself."""
    if own_country().code == DEFAULT:
        return silences
    return [replace(silence, text=text_of_country(silence.text)) for silence in silences]


def _suggestion_of_country(suggestion: Suggestion) -> Suggestion:
    return replace(
        suggestion,
        label=text_of_country(suggestion.label),
        actions=tuple(map(_action_of_country, suggestion.actions)),
    )


def _action_of_country(action: Action) -> Action:
    resource = action.resource
    if action.type == "create" and resource is not None:
        resource = _order_of_country(resource)
    return replace(action, description=text_of_country(action.description), resource=resource)


def _order_of_country(order: Json) -> Json:
    """Return a new order of a product of ours with its name as the text; its code keeps RxNorm's own name."""
    concept = order.get("medicationCodeableConcept") or {}
    coding: Json = next(iter(concept.get("coding", ())), {})
    if coding.get("system") != RXNORM or coding.get("display") != concept.get("text"):
        return order
    return {**order, "medicationCodeableConcept": {**concept, "text": text_of_country(concept["text"])}}


def _extension_of_country(card: Card) -> Json | None:
    extension = (card.extension or {}).get(EXTENSION_KEY)
    if not isinstance(extension, CardExtension) or not extension.facts:
        return card.extension
    facts = tuple(replace(fact, text=text_of_country(fact.text)) if fact.text else fact for fact in extension.facts)
    return {**(card.extension or {}), EXTENSION_KEY: replace(extension, facts=facts)}
