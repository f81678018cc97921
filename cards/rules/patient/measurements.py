"""Measurements and kidney function as rules and sentences use them."""

import re
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from cards.extension import Fact
from cards.text import decapitalized, escape, format_number, unit
from fhir.mapping.equations import body_mass_index as index_of
from fhir.mapping.equations import is_creatinine_unstable
from fhir.mapping.kidney import KidneyEstimate, KidneyValue
from fhir.record.datatypes import DAY_SECONDS
from fhir.record.facts import Found
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from fhir.terminology.analytes import ANALYTES, ANSWER

# Where a sentence has other words than a table of results.
_WORDS = {
    "body_weight": "weight",
    "egfr": "reported eGFR",
    "qtc": "QTc",
    "anti_hbc": "anti-HBc",
    "neutrophils_abs": "neutrophil count",
    "lymphocytes_abs": "lymphocyte count",
    "lvef": "LVEF",
    "cd4": "CD4 count",
    "lithium_level": "lithium level",
    "bmi": "BMI",
    "gcs_total": "Glasgow coma scale",
}
_HEIGHT_DAYS = 1825
_COMMON_NOUN = re.compile(r"[A-Z][a-z]+\b")


# Why a result has no number of its own although it may say on which side of one it lies.
_NO_NUMBER = frozenset({"not-exact", "no-quantity"})


def newer_bound(record: PatientRecord, analyte: str, max_age_days: float | None) -> Measurement | None:
    """Return the number of a result such as ">6.4" with its side, if it is newer than every usable value."""
    lookup = record.lookup(analyte, max_age_days)
    if not any(refusal.reason in _NO_NUMBER for refusal in lookup.refused):
        return None
    bound = next(iter(record.one_sided_results(analyte)), None)
    if bound is None or (max_age_days is not None and bound.limit.whole_days(record.as_of_epoch) > max_age_days):
        return None
    is_older = isinstance(lookup, Found) and lookup.measurement.time.instant >= bound.limit.time.instant
    return None if is_older else replace(bound.limit, side=bound.side)


def body_mass_index(record: PatientRecord, max_age_days: float | None) -> Measurement | None:
    """Return the newer of the index that was charted and that of the newest weight with the newest height."""
    charted, weight = record.newest("bmi", max_age_days), record.newest("body_weight", max_age_days)
    height = record.newest("body_height", _HEIGHT_DAYS)
    if weight is None or height is None or (charted is not None and charted.time.instant >= weight.time.instant):
        return charted
    value = round(index_of(weight.value, height.value), 1)
    return replace(weight, analyte="bmi", value=value, unit="kg/m2", charted_value=value, charted_unit="kg/m2")


def why_none(record: PatientRecord, analyte: str) -> str:
    """Return that nothing of an analyte is on record or, where a result came, why it is not used."""
    refused = record.lookup(analyte).refused
    return refused[0].text.removesuffix(".") if refused else f"no {name_of(analyte)} on record"


def measurement_fact(measurement: Measurement, text: str = "") -> Fact:
    """Return a measurement as a fact; of one that has only a side the value is a text."""
    value = f"{measurement.side}{format_number(measurement.value, decimals=2)}" if measurement.side else None
    return Fact(
        measurement.analyte,
        text,
        value or measurement.value,
        measurement.unit,
        measurement.time.text,
        measurement.source,
    )


def name_of(analyte: str) -> str:
    """Return what a sentence calls the analyte."""
    words = _WORDS.get(analyte) or ANALYTES[analyte].words
    return decapitalized(words) if analyte not in _WORDS and _COMMON_NOUN.match(words) else words


def say(measurement: Measurement, limits: Iterable[float] = ()) -> str:
    """Return a measurement as charted and its canonical value if that differs: "creatinine 190 umol/L (2.15 mg/dL)"."""
    name = name_of(measurement.analyte)
    if ANALYTES[measurement.analyte].kind == ANSWER:
        return f"{name} {'positive' if measurement.value else 'negative'}"
    side = measurement.side or ""
    canonical = f"{side}{format_number(measurement.value, limits, 2)} {unit(measurement.unit)}".rstrip()
    if unit(measurement.charted_unit) == unit(measurement.unit) or measurement.charted_value == measurement.value:
        return f"{name} {canonical}"
    charted = f"{side}{format_number(measurement.charted_value, decimals=2)} {unit(measurement.charted_unit)}"
    return f"{name} {charted} ({canonical})"


def dated(measurement: Measurement, limits: Iterable[float] = ()) -> str:
    """Return a measurement with its date: "weight 42 kg on 2026-07-05"."""
    return f"{say(measurement, limits)} on {measurement.time.date}"


def history(record: PatientRecord, analyte: str) -> str:
    """Return what there is in place of a usable value: an old one, one that was refused; empty if there is nothing."""
    lookup = record.lookup(analyte)
    sentences = [f"Last value: {dated(lookup.measurement)}."] if isinstance(lookup, Found) else []
    # A refusal may repeat a unit as it was charted.
    sentences += [escape(refusal.text, 160) for refusal in lookup.refused[:1]]
    return " ".join(sentences)


# Labels of anticoagulants and dofetilide used the actual weight for clearance; the other drugs take adjusted weight.
ESTIMATES = ("egfr_best", "crcl_actual_weight", "crcl_adjusted_weight")
"""The estimates of kidney function that a rule may ask for."""

_CLEARANCE = "mL/min"
_WEEK_SECONDS = 7 * DAY_SECONDS


def phrase(estimate: KidneyEstimate, limits: Iterable[float] = ()) -> str:
    """Say it for a summary: "eGFR 28 mL/min on 2026-07-30", "CrCl 25.5 mL/min on 2026-07-21", "dialysis on record"."""
    name = _name(estimate)
    if estimate.method == "dialysis":
        return "dialysis on record"
    if estimate.is_diagnosis:
        return f"{estimate.method} on record, eGFR under {estimate.value:g}"
    number = _number(estimate, limits)
    text = f"{name} {number} {_CLEARANCE}"
    doubts = [
        doubt
        for doubt, holds in (
            (f"no {estimate.instead_of_clearance} for CrCl", estimate.instead_of_clearance),
            ("old", estimate.stale),
            ("disputed", estimate.disputed),
        )
        if holds
    ]
    doubted = f" ({', '.join(doubts)})" if doubts else ""
    return f"{text}{doubted}{f' on {estimate.time.date}' if estimate.time else ''}"


def facts(estimate: KidneyEstimate, limits: Iterable[float] = ()) -> list[Fact]:
    """List the estimate with unit, date and source, then the measurements behind it, which need no text themselves."""
    estimate_fact = Fact(
        "crcl" if _name(estimate) == "CrCl" else "egfr",
        _statement(estimate, limits),
        _fact_value(estimate),
        estimate.unit,
        estimate.time.text if estimate.time else None,
        estimate.sources[0] if estimate.sources else None,
    )
    if estimate.side is not None:
        return [estimate_fact]
    behind = dict.fromkeys((*estimate.inputs, *(value.measurement for value in estimate.conflicting_values)))
    return [
        estimate_fact,
        *(
            measurement_fact(measurement)
            for measurement in behind
            if not (measurement.source == estimate_fact.source and measurement.value == estimate_fact.value)
        ),
    ]


def _fact_value(estimate: KidneyEstimate) -> float | str | None:
    """Return the number; on dialysis there is none, because the 0 that stands for it in conditions was not measured."""
    if estimate.method == "dialysis":
        return None
    return estimate.value if estimate.side is None else _number(estimate, ())


def notes(estimate: KidneyEstimate) -> list[str]:
    """How sure the estimate is, in sentences."""
    sentences = []
    if estimate.stale and estimate.time:
        sentences.append(f"The value of {estimate.time.date} is too old to rely on: repeat it.")
    if estimate.disputed and estimate.time:
        values = ", ".join(dict.fromkeys(rival(value) for value in estimate.conflicting_values))
        sentences.append(f"eGFR results of {estimate.time.date} in {unit(estimate.unit)}: {values}.")
    return [*sentences, *estimate.notes]


def unstable_note(creatinine: Sequence[Measurement]) -> str:
    """Return on which side of the estimate kidney function lies, with the two values (newest first) that differ most.

    The values are those of a week; where they do not differ as in acute kidney injury, its diagnosis is on record.
    """
    if not is_creatinine_unstable(creatinine):
        return (
            "Acute kidney injury is on record: kidney function can be worse than calculated. Repeat creatinine today."
        )
    newest, *earlier = creatinine
    week = [measurement for measurement in earlier if newest.time.instant - measurement.time.instant <= _WEEK_SECONDS]
    farthest = max(week, key=lambda measurement: abs(measurement.value - newest.value))
    first, last = (
        f"{format_number(measurement.value, decimals=2)} {measurement.unit} on {measurement.time.date}"
        for measurement in (farthest, newest)
    )
    rises = newest.value > farthest.value
    moved = "rose" if rises else "fell"
    means = "is worse than calculated, the right dose can be lower" if rises else "may be better than calculated"
    return f"Creatinine {moved} from {first} to {last}: kidney function {means}. Repeat creatinine today."


def rival(value: KidneyValue) -> str:
    """Return one of several contradicting values with what it is from."""
    origin = "reported" if value.is_reported else f"from {say(value.measurement)}"
    return f"{format_number(value.value)} {origin}"


def _statement(estimate: KidneyEstimate, limits: Iterable[float]) -> str:
    if estimate.method == "dialysis":
        return f"dialysis on record{f' ({estimate.time.date})' if estimate.time else ''}"
    if estimate.is_diagnosis:
        charted = f" ({estimate.time.date})" if estimate.time else ""
        limit = f"{estimate.value:g} {unit(estimate.unit)}"
        return f"{estimate.method} on record{charted}: eGFR under {limit}, not measured lately"
    on_day = f" on {estimate.time.date}" if estimate.time else ""
    value = f"{_name(estimate)} {_number(estimate, limits)} {unit(estimate.unit)}{on_day}"
    if estimate.method == "Cockcroft-Gault":
        inputs = ", ".join(f"{say(measurement)} of {measurement.time.date}" for measurement in estimate.inputs)
        kind = f", {estimate.weight_used} body weight" if estimate.weight_used == "adjusted" else ""
        return f"{value} (Cockcroft-Gault{kind}: {inputs})"
    if estimate.method == "CKD-EPI 2021":
        return f"{value} (CKD-EPI 2021 from {say(estimate.inputs[0])})"
    return f"{value} ({estimate.method})"


def _number(estimate: KidneyEstimate, limits: Iterable[float]) -> str:
    """Return the number, with the side on which the truth lies where only that was reported: ">60"."""
    return f"{estimate.side or ''}{format_number(estimate.value, limits)}"


def _name(estimate: KidneyEstimate) -> str:
    return "CrCl" if estimate.unit == _CLEARANCE else "eGFR"
