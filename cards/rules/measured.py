"""A measurement as a fact and in words."""

from collections.abc import Iterable

from cards.markdown import escape
from cards.rules.fact import Fact
from cards.rules.figures import show, unit
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from fhir.terminology.analytes import ANALYTES

_WORDS = {
    "creatinine": "creatinine",
    "body_weight": "weight",
    "egfr": "reported eGFR",
    "qtc": "QTc",
    "inr": "INR",
    "tsh": "TSH",
    "alt": "ALT",
    "neutrophils_abs": "neutrophils",
    "lithium_level": "lithium",
}


def as_fact(measurement: Measurement, text: str = "") -> Fact:
    """A measurement as a fact."""
    return Fact(
        measurement.analyte, text, measurement.value, measurement.unit, measurement.time.text, measurement.source
    )


def name_of(analyte: str) -> str:
    """What a sentence calls the analyte."""
    return _WORDS.get(analyte, analyte.replace("_", " "))


def say(measurement: Measurement, limits: Iterable[float] = ()) -> str:
    """A measurement as charted, with its canonical value where that differs: "creatinine 190 umol/L (2.15 mg/dL)"."""
    name = name_of(measurement.analyte)
    canonical = f"{show(measurement.value, limits, 2)} {unit(measurement.unit)}".rstrip()
    if unit(measurement.charted_unit) == unit(measurement.unit) or measurement.charted_value == measurement.value:
        return f"{name} {canonical}"
    return f"{name} {show(measurement.charted_value, decimals=2)} {measurement.charted_unit} ({canonical})"


def dated(measurement: Measurement, limits: Iterable[float] = ()) -> str:
    """A measurement with its date: "weight 42 kg on 2026-07-05"."""
    return f"{say(measurement, limits)} on {measurement.time.date}"


def history(record: PatientRecord, analyte: str) -> str:
    """What there is in place of a usable value: an old one, one that was refused; empty where there is nothing."""
    newest = record.newest(analyte)
    said = [f"Last value: {dated(newest)}."] if newest is not None else []
    words = f"{ANALYTES[analyte].words} "
    # A refusal may repeat a unit as it was charted.
    said += [escape(refusal.text, 160) for refusal in record.refusals if refusal.text.startswith(words)][:1]
    return " ".join(said)
