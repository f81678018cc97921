"""Drafted orders as a person composes them: found by the name of a drug or a test, with dose and frequency.

Names and codes are those of the tables of `fhir/terminology` (RxNorm, LOINC); what they do not know can be ordered as
words alone, as an EHR may send it.
"""

from collections.abc import Sequence
from datetime import date
from functools import cached_property
from typing import Any, Final, NamedTuple
from uuid import uuid4

from cds_hooks.kit.simulator.chart import Resource
from fhir.terminology.medications import RXNORM, rxnorm_names, table_rows

LOINC: Final = "http://loinc.org"
_UCUM: Final = "http://unitsofmeasure.org"
_MOST_FOUND: Final = 40


class Orderable(NamedTuple):
    """What can be ordered: the type of its resource, its name and its code; a code of "" is an order in words."""

    kind: str
    name: str
    system: str
    code: str


class Frequency(NamedTuple):
    """How often, in words and as `timing.repeat` has it (a period in days or hours)."""

    words: str
    frequency: int
    period: int
    unit: str


FREQUENCIES: Final[dict[str, Frequency]] = {
    "1d": Frequency("once a day", 1, 1, "d"),
    "2d": Frequency("twice a day", 2, 1, "d"),
    "3d": Frequency("3 times a day", 3, 1, "d"),
    "4d": Frequency("4 times a day", 4, 1, "d"),
    "4h": Frequency("every 4 hours", 1, 4, "h"),
    "6h": Frequency("every 6 hours", 1, 6, "h"),
    "8h": Frequency("every 8 hours", 1, 8, "h"),
    "2x": Frequency("every other day", 1, 2, "d"),
    "1w": Frequency("once a week", 1, 1, "wk"),
}
UNITS: Final = ("tablet", "capsule", "mg", "mcg", "g", "mL", "unit", "patch", "puff")
_IN_UCUM: Final = {"mg": "mg", "mcg": "ug", "g": "g", "mL": "mL"}


class UnusableOrder(ValueError):
    """The order cannot be composed; the message says what to write, `field` into which field of the page."""

    def __init__(self, message: str, field: str = "order") -> None:
        super().__init__(message)
        self.field = field


class Catalogue:
    """What can be ordered by name; the tables are read when it is first asked."""

    @cached_property
    def _by_name(self) -> dict[str, Orderable]:
        orderables = [Orderable("MedicationRequest", name, RXNORM, code) for code, name in rxnorm_names()]
        orderables += [
            Orderable("MedicationRequest", row["name"], RXNORM, row["rxcui"]) for row in table_rows("ingredients.csv")
        ]
        orderables += [
            Orderable("ServiceRequest", f"{row['words']} (laboratory)", LOINC, row["loinc"].partition(";")[0])
            for row in table_rows("analytes.csv")
            if row["kind"] == "lab" and row["loinc"]
        ]
        orderables += [
            Orderable("ServiceRequest", row["name"], LOINC, row["loinc"])
            for row in table_rows("studies.csv")
            if row["name"]
        ]
        orderables += [
            Orderable("ServiceRequest", row["name"], LOINC, row["loinc"].partition(";")[0])
            for row in table_rows("retest_intervals.csv")
        ]
        return {orderable.name.lower(): orderable for orderable in reversed(orderables)}

    def orderable(self, name: str) -> Orderable | None:
        """Return the drug or test of exactly this name, in whatever case."""
        return self._by_name.get(" ".join(name.lower().split()))

    def search(self, text: str) -> list[Orderable]:
        """Return those whose name has a word that begins with each word of the text, at most 40.

        Names that begin with the text come first, then shorter ones.
        """
        words = text.lower().split()
        if not words:
            return []
        matches = [
            (not name.startswith(words[0]), len(name), orderable)
            for name, orderable in self._by_name.items()
            if all(_begins_a_word(word, name) for word in words)
        ]
        return [orderable for _, _, orderable in sorted(matches)[:_MOST_FOUND]]


def _begins_a_word(word: str, name: str) -> bool:
    return name.startswith(word) or f" {word}" in name or f"({word}" in name or f"[{word}" in name


class Dosing(NamedTuple):
    """What the form says of a dose; "" where nothing was chosen."""

    dose: str = ""
    unit: str = "tablet"
    frequency: str = "1d"
    as_needed: bool = False
    days: str = ""


def compose(what: Orderable, dosing: Dosing, today: date) -> Resource:
    """Return the draft, still without its patient.

    Raises:
        UnusableOrder: the dose or the number of days is no number.
    """
    code: dict[str, Any] = {"text": what.name}
    if what.code:
        code = {"coding": [{"system": what.system, "code": what.code, "display": what.name}], "text": what.name}
    order: Resource = {
        "resourceType": what.kind,
        "id": f"draft-{uuid4().hex[:8]}",
        "status": "draft",
        "intent": "order",
    }
    if what.kind == "ServiceRequest":
        return order | {"code": code, "authoredOn": today.isoformat()}
    order |= {"medicationCodeableConcept": code, "authoredOn": today.isoformat()}
    order["dosageInstruction"] = [_dosage(dosing)]
    if dosing.days.strip():
        supply = {"value": _number(dosing.days, "Days"), "unit": "d", "system": _UCUM, "code": "d"}
        order["dispenseRequest"] = {"expectedSupplyDuration": supply}
    return order


def _dosage(dosing: Dosing) -> dict[str, Any]:
    often = FREQUENCIES.get(dosing.frequency, FREQUENCIES["1d"])
    repeat = {"frequency": often.frequency, "period": often.period, "periodUnit": often.unit}
    dosage: dict[str, Any] = {"timing": {"repeat": repeat}}
    words = often.words
    if dosing.dose.strip():
        value = _number(dosing.dose, "Dose")
        unit = dosing.unit if dosing.unit in UNITS else "mg"
        quantity: dict[str, Any] = {"value": value, "unit": unit}
        if unit in _IN_UCUM:
            quantity |= {"system": _UCUM, "code": _IN_UCUM[unit]}
        dosage["doseAndRate"] = [{"doseQuantity": quantity}]
        words = f"{value:g} {unit} {words}"
    if dosing.as_needed:
        dosage["asNeededBoolean"] = True
        words = f"{words} as needed"
    return {"text": words} | dosage


def _number(text: str, field: str) -> float | int:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = 0.0
    if not 0 < value < 1_000_000:
        raise UnusableOrder(f"{field}: write a number above 0, such as 1 or 2.5.", field.lower())
    return int(value) if value.is_integer() else value


def name_of(draft: Resource) -> str:
    """Return what is ordered, as the draft itself says it."""
    for member in ("medicationCodeableConcept", "code", "vaccineCode", "medicationReference"):
        concept = draft.get(member)
        if not isinstance(concept, dict):
            continue
        coding = concept.get("coding")
        first = coding[0] if isinstance(coding, list) and coding and isinstance(coding[0], dict) else {}
        for text in (concept.get("text"), first.get("display"), concept.get("display"), first.get("code")):
            if isinstance(text, str) and text:
                return text
    return str(draft.get("resourceType") or "order")


def dose_of(draft: Resource) -> str:
    """Return the dose and frequency of a draft in words; "" where it has none."""
    dosages = draft.get("dosageInstruction")
    texts = (
        [_dosage_words(dosage) for dosage in dosages if isinstance(dosage, dict)] if isinstance(dosages, list) else []
    )
    return "; ".join(filter(None, texts))


def _dosage_words(dosage: dict[str, Any]) -> str:
    text = dosage.get("text")
    if isinstance(text, str) and text:
        return text
    words = [_quantity_words(dosage), _repeat_words(dosage)]
    return " ".join(filter(None, words))


def _quantity_words(dosage: dict[str, Any]) -> str:
    rates = dosage.get("doseAndRate")
    rate = rates[0] if isinstance(rates, list) and rates and isinstance(rates[0], dict) else {}
    quantity = rate.get("doseQuantity")
    if not isinstance(quantity, dict):
        return ""
    return f"{quantity.get('value', '')} {quantity.get('unit', '')}".strip()


def _repeat_words(dosage: dict[str, Any]) -> str:
    timing = dosage.get("timing")
    repeat = timing.get("repeat") if isinstance(timing, dict) else None
    if not isinstance(repeat, dict):
        return ""
    rhythm = (repeat.get("frequency"), repeat.get("period"), repeat.get("periodUnit"))
    words = [
        frequency.words
        for frequency in FREQUENCIES.values()
        if (frequency.frequency, frequency.period, frequency.unit) == rhythm
    ]
    return words[0] if words else ""


def orders_of(drafts: Sequence[Resource]) -> list[Resource]:
    """Return the drafts without the Medications that stand beside them."""
    return [draft for draft in drafts if draft.get("resourceType") != "Medication"]
