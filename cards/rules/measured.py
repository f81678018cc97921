"""A measurement as a fact and in words."""

from collections.abc import Iterable

from cards.rules.fact import Fact
from cards.rules.figures import show, unit
from fhir.record.measurement import Measurement

_WORDS = {"creatinine": "creatinine", "body_weight": "weight", "egfr": "reported eGFR"}


def as_fact(measurement: Measurement, text: str = "") -> Fact:
    """A measurement as a fact."""
    return Fact(
        measurement.analyte, text, measurement.value, measurement.unit, measurement.time.text, measurement.source
    )


def say(measurement: Measurement, limits: Iterable[float] = ()) -> str:
    """A measurement as charted, with its canonical value where that differs: "creatinine 190 umol/L (2.15 mg/dL)"."""
    name = _WORDS.get(measurement.analyte, measurement.analyte.replace("_", " "))
    canonical = f"{show(measurement.value, limits, 2)} {unit(measurement.unit)}"
    if unit(measurement.charted_unit) == unit(measurement.unit) or measurement.charted_value == measurement.value:
        return f"{name} {canonical}"
    return f"{name} {show(measurement.charted_value, decimals=2)} {measurement.charted_unit} ({canonical})"


def dated(measurement: Measurement, limits: Iterable[float] = ()) -> str:
    """A measurement with its date: "weight 42 kg on 2026-07-05"."""
    return f"{say(measurement, limits)} on {measurement.time.date}"
