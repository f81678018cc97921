"""The client's own order with only what must change changed: product, dose, timing, duration, what follows from them.

Works on the decoded JSON, so that extensions and elements nobody here knows come back as they came.
"""

import math
import re
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from cards.new_orders import concept, days, exact, milligrams, repeat
from cards.rules.language.rule import DosePart, OrderChange, Product, Sig
from cards.rules.patient.orders import DraftMedication
from cards.text import format_number
from fhir.mapping.medications.dosage import quantity_days
from fhir.mapping.medications.sig import Sig as ReadSig
from fhir.mapping.medications.sig import read_sig
from fhir.record.repair import objects_in
from fhir.terminology.dosing import dose_unit

Json = dict[str, Any]

# Parts of Timing.repeat that say how often; the bounds, which say how long, stay.
_HOW_OFTEN = (
    "frequency", "frequencyMax", "period", "periodMax", "periodUnit",
    "dayOfWeek", "timeOfDay", "when", "offset", "count", "countMax",
)  # fmt: skip
_HOW_LONG = ("boundsDuration", "boundsRange", "boundsPeriod", "count", "countMax")
_DURATION_WORDS = re.compile(
    r"\b(?P<lead>for|x|×|during)\s*\d+\s*-?\s*(?:days?|d|weeks?|wks?|months?)\b", re.IGNORECASE
)
_CLOSE = 1e-9
# No pharmacy gives out more tablets or millilitres for one order; what comes out beyond it came from a wrong number.
_MOST_UNITS = 1_000_000
_EMPTY_SIG = ReadSig()  # what `read_sig("")` gives
_NUMBER = re.compile(r"\d|\b(?:one|two|three|four|half|double|dose)\b", re.IGNORECASE)


class NotChangeable(ValueError):
    """A change that this order does not allow; the message says why."""


def amend(drafted: DraftMedication, change: OrderChange, as_of: datetime) -> Json:
    """Return a copy of the draft with the change made; nothing else in it differs. May raise NotChangeable."""
    if change.part is not None:
        change = replace(change, sig=_part_of(change.part, drafted), part=None)
    order: Json = _copied(drafted.draft.resource)
    if "dosageInstruction" in order:
        order["dosageInstruction"] = objects_in(order["dosageInstruction"])
        for dosage in order["dosageInstruction"]:
            if "doseAndRate" in dosage:
                dosage["doseAndRate"] = objects_in(dosage["doseAndRate"])
    strength = _strength(drafted)
    product = _product(change, drafted, strength)
    if product is not None:
        _set_product(order, product)
    if change.sig is not None and _says_a_dose(change.sig):
        _set_sig(order, change.sig, drafted, product.strength_mg if product is not None else strength)
        _scale_quantity(order, _units_ratio(change.sig, drafted, strength, product))
        if change.second is not None:
            _add_instruction(order, change.second)
    elif change.sig is not None:
        _set_words(order, change.sig.text)
    if change.duration_days is not None:
        _set_duration(order, change.duration_days, drafted)
    if change.start_in_hours is not None:
        _set_start(order, as_of + timedelta(hours=change.start_in_hours))
    return order


def _copied(value: Any) -> Any:
    """Return a copy of JSON: a tenth of the calls of `copy.deepcopy`, which keeps track of objects that stand twice."""
    if type(value) is dict:
        return {name: _copied(item) if type(item) in _NESTED else item for name, item in value.items()}
    return [_copied(item) if type(item) in _NESTED else item for item in value] if type(value) is list else value


_NESTED = (dict, list)


def _says_a_dose(sig: Sig) -> bool:
    return sig.dose_mg is not None or sig.dose_share is not None


def _there(parent: Json, name: str) -> Json:
    """Return the object of that name; an empty one, not put in, where there is none or, against FHIR, null."""
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _object_in(parent: Json, name: str) -> Json:
    """Return the object of that name, put in where there is none."""
    if not isinstance(parent.get(name), dict):
        parent[name] = {}
    inner: Json = parent[name]
    return inner


# A part of the dose

_OFTEN = {1: "once", 2: "twice", 3: "three times", 4: "four times"}


def _part_of(part: DosePart, drafted: DraftMedication) -> Sig:
    """Return the sig with the reduced dose, as often as it was ordered."""
    rxcuis, dose = drafted.medication.rxcuis, drafted.dose
    single_dose = dose.per_dose_of(rxcuis[0]) if len(rxcuis) == 1 else None
    times = dose.times_per_day
    if single_dose is None or single_dose.low != single_dose.high or times not in _OFTEN or dose.as_needed:
        raise NotChangeable("the drafted dose is not exactly known")
    reduced = math.floor(single_dose.high * part.most / part.step_mg + _CLOSE) * part.step_mg
    if reduced < single_dose.high * part.least - _CLOSE:
        raise NotChangeable("no tablet has so low a dose")
    return Sig(f"{format_number(reduced, decimals=4)} mg {_OFTEN[int(times)]} daily", reduced, times_per_day=int(times))


# Product


def _strength(drafted: DraftMedication) -> float | None:
    """Milligrams of one unit of the drafted product; None when it has several ingredients or does not say."""
    strengths = drafted.medication.strengths
    only = strengths[0] if len(strengths) == 1 else None
    return only.milligrams if only is not None and only.per == "unit" else None


def _product(change: OrderChange, drafted: DraftMedication, strength: float | None) -> Product | None:
    """Return the product to change to; None when the drafted one can stay."""
    if change.product is not None:
        is_same_release = drafted.medication.is_slow_release is change.product.slow_release
        return None if is_same_release and strength == change.product.strength_mg else change.product
    dose = change.sig.dose_mg if change.sig is not None else None
    if dose is None or strength is None or _is_whole(dose / strength):
        return None
    slow = drafted.medication.is_slow_release
    fitting = (
        product
        for product in change.products_if_split
        if product.slow_release is slow and product.strength_mg != strength
    )
    return next(fitting, None)


def _is_whole(count: float) -> bool:
    return 1 <= count <= _MOST_UNITS and abs(count - round(count)) <= _CLOSE


def _set_product(order: Json, product: Product) -> None:
    reference = order.pop("medicationReference", None)
    if isinstance(reference, dict):
        _drop_contained(order, str(reference.get("reference", "")))
    order["medicationCodeableConcept"] = concept(product)


def _drop_contained(order: Json, reference: str) -> None:
    """Without the Medication that nothing points to any more: FHIR dom-3 wants every contained resource referenced."""
    if not reference.startswith("#"):
        return
    inside = order.get("contained") or ()
    referenced = [resource for resource in inside if f"#{str(resource.get('id')).removeprefix('#')}" != reference]
    if referenced:
        order["contained"] = referenced
    else:
        order.pop("contained", None)


# Dose and timing


def _says_how_much(words: Any) -> bool:
    """Whether instructions for the patient state a dose or frequency; "with food" and "do not crush" do not."""
    if not isinstance(words, str):
        return words is not None
    return read_sig(words) != _EMPTY_SIG or _NUMBER.search(words) is not None


def _set_sig(order: Json, sig: Sig, drafted: DraftMedication, strength: float | None) -> None:
    """One instruction with the new dose and frequency. Words that would contradict them are replaced."""
    instructions = order.get("dosageInstruction") or [{}]
    dosage = instructions[0]
    order["dosageInstruction"] = [dosage]
    is_words_only = "doseAndRate" not in dosage
    if "text" in dosage or is_words_only or sig.is_written:
        dosage["text"] = sig.text
    if _says_how_much(dosage.get("patientInstruction")):
        dosage["patientInstruction"] = sig.text
    for limit in ("maxDosePerPeriod", "maxDosePerAdministration"):
        dosage.pop(limit, None)
    if sig.as_needed and "asNeededCodeableConcept" not in dosage:
        dosage["asNeededBoolean"] = True
    same_often = sig.times_per_week is None and drafted.dose.times_per_day == sig.times_per_day
    if len(instructions) > 1 or not same_often or sig.when is not None:
        _set_frequency(dosage, sig)
    _set_amount(dosage, sig, strength)


def _add_instruction(order: Json, sig: Sig) -> None:
    """Add a second instruction like the first, with its own dose and words."""
    first = order["dosageInstruction"][0]
    dosage = _copied(first)
    dosage["timing"] = {"repeat": repeat(sig)}
    dosage["doseAndRate"] = [{"doseQuantity": milligrams(sig.dose_mg or 0.0)}]
    if "text" in dosage:
        dosage["text"] = sig.text
    dosage.pop("patientInstruction", None)
    order["dosageInstruction"] = [first, dosage]


def _set_words(order: Json, words: str) -> None:
    """Set the words of the first instruction; dose and timing stay, they say where it begins."""
    instructions = order.get("dosageInstruction") or [{}]
    instructions[0]["text"] = words
    instructions[0].pop("patientInstruction", None)
    order["dosageInstruction"] = instructions


def _set_frequency(dosage: Json, sig: Sig) -> None:
    timing = _object_in(dosage, "timing")
    timing.pop("code", None)
    timing.pop("event", None)
    bounds = {name: value for name, value in _there(timing, "repeat").items() if name not in _HOW_OFTEN}
    timing["repeat"] = {**bounds, **repeat(sig)}


def _set_amount(dosage: Json, sig: Sig, strength: float | None) -> None:
    rates = dosage.get("doseAndRate") or [{}]
    rate = rates[0]
    old = _there(rate, "doseQuantity") or _there(_there(rate, "doseRange"), "high")
    for name in ("doseRange", "rateRatio", "rateRange", "rateQuantity"):
        rate.pop(name, None)
    value = old.get("value")
    if sig.dose_share is None:
        rate["doseQuantity"] = _quantity(sig.dose_mg or 0.0, old, strength)
    elif isinstance(value, int | float):
        rate["doseQuantity"] = {**old, "value": exact(round(value * sig.dose_share, 6))}
    else:
        raise NotChangeable("the drafted dose stands in words only")
    dosage["doseAndRate"] = [rate]


def _quantity(dose_mg: float, old: Json, strength: float | None) -> Json:
    """Return the dose in the unit the client counts in, where that comes out even; else in milligrams."""
    unit = dose_unit(str(old.get("code") or old.get("unit") or ""))
    counts = unit is not None and unit.kind == "unit"
    if counts and strength is not None and _is_whole(dose_mg / strength):
        return {**old, "value": round(dose_mg / strength)}
    return milligrams(dose_mg)


# Quantity and duration


def _units_ratio(sig: Sig, drafted: DraftMedication, strength: float | None, product: Product | None) -> float | None:
    """How many units a day for each unit a day before; None when the old number is not known."""
    rxcuis = drafted.medication.rxcuis
    a_day = _times_per_day(sig)
    if sig.dose_share is not None:
        before = drafted.dose.times_per_day
        return sig.dose_share * a_day / before if before else None
    daily = drafted.dose.daily(rxcuis[0]) if len(rxcuis) == 1 else None
    new_strength = product.strength_mg if product is not None else strength
    if daily is None or not strength or not new_strength or not daily.high or sig.dose_mg is None:
        return None
    return (sig.dose_mg * a_day / new_strength) / (daily.high / strength)


def _times_per_day(sig: Sig) -> float:
    if sig.times_per_week is not None:
        return sig.times_per_week / 7.0
    return 24.0 / sig.every_hours if sig.every_hours is not None else sig.times_per_day or 1


def _scale_quantity(order: Json, ratio: float | None) -> None:
    dispense = _there(order, "dispenseRequest")
    value = _there(dispense, "quantity").get("value")
    scaled = value * ratio if ratio is not None and isinstance(value, int | float) else math.nan
    if ratio is None or not 0 <= scaled <= _MOST_UNITS:
        # A number of tablets for the old dose is worse than none.
        dispense.pop("quantity", None)
    elif abs(ratio - 1.0) > _CLOSE:
        dispense["quantity"]["value"] = math.ceil(scaled - _CLOSE)


def _set_duration(order: Json, new_days: int, drafted: DraftMedication) -> None:
    """Set the new duration in all, without refills, wherever the order states one, else as the supply."""
    stated = False
    for dosage in order.get("dosageInstruction") or ():
        stated |= _bound(dosage, new_days)
        for name in ("text", "patientInstruction"):
            if isinstance(dosage.get(name), str):
                dosage[name] = _DURATION_WORDS.sub(rf"\g<lead> {new_days} days", dosage[name])
    dispense = _there(order, "dispenseRequest")
    if "expectedSupplyDuration" in dispense or not stated:
        dispense = _object_in(order, "dispenseRequest")
        dispense["expectedSupplyDuration"] = days(new_days)
    repeats = dispense.get("numberOfRepeatsAllowed")
    fills = 1 + (repeats if isinstance(repeats, int) else 0)
    if fills > 1:
        dispense["numberOfRepeatsAllowed"] = 0
    fill_days = _fill_days(drafted, fills)
    _scale_quantity(order, new_days / fill_days if fill_days else None)


def _set_start(order: Json, start: datetime) -> None:
    """Set the day and hour of the first dose on every instruction; bounds of another kind leave no place for it."""
    dosages = order.setdefault("dosageInstruction", [{}])
    for dosage in dosages:
        often = _object_in(_object_in(dosage, "timing"), "repeat")
        if any(name in often for name in _HOW_LONG if name != "boundsPeriod"):
            raise NotChangeable("the draft says how long in a way that has no start")
        often["boundsPeriod"] = {**_there(often, "boundsPeriod"), "start": start.isoformat(timespec="seconds")}


def _fill_days(drafted: DraftMedication, fills: int) -> float | None:
    """How long the drafted quantity, which is that of one fill, was to last."""
    dispense = drafted.order.dispenseRequest
    if dispense is not None and dispense.expectedSupplyDuration is not None:
        return quantity_days(dispense.expectedSupplyDuration)
    days_in_all = drafted.dose.duration_days
    return days_in_all / fills if days_in_all and fills > 0 else None


def _bound(dosage: Json, new_days: int) -> bool:
    often = _there(_there(dosage, "timing"), "repeat")
    if not any(name in often for name in _HOW_LONG):
        return False
    for name in _HOW_LONG:
        often.pop(name, None)
    often["boundsDuration"] = days(new_days)
    return True
