"""Kidney function in words: the phrase of a summary, the facts behind it, and how sure it is."""

from collections.abc import Iterable, Sequence

from cards.rules.fact import Fact
from cards.rules.figures import show, unit
from cards.rules.measured import as_fact, say
from fhir.mapping.kidney import KidneyEstimate, KidneyValue
from fhir.record.measurement import Measurement
from fhir.record.time import DAY_SECONDS

# Labels of anticoagulants and dofetilide used the actual weight for clearance; the other drugs take adjusted weight.
ESTIMATES = ("egfr_best", "crcl_actual_weight", "crcl_adjusted_weight")
"""The estimates of kidney function that a rule may ask for."""

_CLEARANCE = "mL/min"
_WEEK_SECONDS = 7 * DAY_SECONDS


def phrase(estimate: KidneyEstimate, limits: Iterable[float] = ()) -> str:
    """What a summary says: "eGFR 28 on 2026-07-30", "CrCl 25.5 mL/min on 2026-07-21", "eGFR 0 on dialysis"."""
    name = _name(estimate)
    if estimate.method == "dialysis":
        return f"{name} 0 on dialysis"
    number = _number(estimate, limits)
    said = f"{name} {number} {_CLEARANCE}" if name == "CrCl" else f"{name} {number}"
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
    return f"{said}{doubted}{f' on {estimate.time.date}' if estimate.time else ''}"


def facts(estimate: KidneyEstimate, limits: Iterable[float] = ()) -> list[Fact]:
    """The estimate with its unit, date and source, then the measurements behind it, which need no text of their own."""
    whole = Fact(
        "crcl" if _name(estimate) == "CrCl" else "egfr",
        _statement(estimate, limits),
        estimate.value if estimate.side is None else _number(estimate, ()),
        estimate.unit,
        estimate.time.text if estimate.time else None,
        estimate.sources[0] if estimate.sources else None,
    )
    if estimate.side is not None:
        return [whole]
    behind = dict.fromkeys((*estimate.inputs, *(rival.measurement for rival in estimate.rivals)))
    return [whole, *(as_fact(one) for one in behind if not (one.source == whole.source and one.value == whole.value))]


def notes(estimate: KidneyEstimate) -> list[str]:
    """How sure the estimate is, in sentences."""
    said = []
    if estimate.stale and estimate.time:
        said.append(f"The value of {estimate.time.date} is older than it should be: repeat it.")
    if estimate.disputed and estimate.time:
        values = ", ".join(dict.fromkeys(_rival(value) for value in estimate.rivals))
        said.append(f"Values of {estimate.time.date} in {unit(estimate.unit)}: {values}.")
    return [*said, *estimate.notes]


def unstable_note(creatinine: Sequence[Measurement]) -> str:
    """That estimates cannot be relied on, with the two values (newest first) of a week that differ most."""
    said = "Kidney function is unstable"
    if creatinine:
        newest, *earlier = creatinine
        week = [one for one in earlier if newest.time.instant - one.time.instant <= _WEEK_SECONDS]
        if week:
            other = max(week, key=lambda one: abs(one.value - newest.value))
            values = f"{show(other.value, decimals=2)} on {other.time.date}, {show(newest.value, decimals=2)}"
            said += f" (creatinine {values} {newest.unit} on {newest.time.date})"
    return f"{said}: estimates are unreliable, no dose is derived from them."


def _rival(value: KidneyValue) -> str:
    origin = "reported" if value.is_reported else f"from {say(value.measurement)}"
    return f"{show(value.value)} {origin}"


def _statement(estimate: KidneyEstimate, limits: Iterable[float]) -> str:
    if estimate.method == "dialysis":
        return f"dialysis on record{f' since {estimate.time.date}' if estimate.time else ''}"
    on_day = f" on {estimate.time.date}" if estimate.time else ""
    value = f"{_name(estimate)} {_number(estimate, limits)} {unit(estimate.unit)}{on_day}"
    if estimate.method == "Cockcroft-Gault":
        inputs = ", ".join(f"{say(one)} of {one.time.date}" for one in estimate.inputs)
        kind = f", {estimate.weight_used} body weight" if estimate.weight_used == "adjusted" else ""
        return f"{value} (Cockcroft-Gault{kind}: {inputs})"
    if estimate.method == "CKD-EPI 2021":
        return f"{value} (CKD-EPI 2021 from {say(estimate.inputs[0])})"
    return f"{value} ({estimate.method})"


def _number(estimate: KidneyEstimate, limits: Iterable[float]) -> str:
    """The number, with the side on which the truth lies where only that was reported: ">60"."""
    return f"{estimate.side or ''}{show(estimate.value, limits)}"


def _name(estimate: KidneyEstimate) -> str:
    return "CrCl" if estimate.unit == _CLEARANCE and not estimate.instead_of_clearance else "eGFR"
