"""Is it still decision support that needs no clearance: the guard of responsible-ai.md 2, as code.

Sources: FD&C Act 520(o)(1)(E); FDA, Clinical Decision Support Software, final guidance of September 2022 as revised in
January 2026; town hall of 11 March 2026. A working classification: a site's counsel has the last word.
"""

import re
from collections.abc import Iterator
from typing import Any

SHORTEST_HOURS = 24.0
# Indications in which time is what counts.
TIME_CRITICAL = (
    "sepsis",
    "septic",
    "stroke",
    "myocardial infarction",
    "heart attack",
    "cardiac arrest",
    "deteriorat",
    "shock",
    "hypoglyc",
    "early warning",
    "code blue",
)
_SOON = re.compile(
    r"\b(?:within|next|in the next|over the next|in)\s+(?:the )?(?:next )?(\d+)[\s-]*(minutes?|mins?|hours?|hrs?|h)\b"
    r"|\b(\d+)[- ]?(hour|hr|h)\b",
    re.IGNORECASE,
)
_CLEARANCE = re.compile(r"(?:K\d{6}|DEN\d{6}|P\d{6}(?:/S\d+)?)")
_PATIENTS = re.compile(r"(?<!never )(?<!not )\b(?:patients?|consumers?|famil(?:y|ies)|caregivers?)\b", re.IGNORECASE)
_SIGNALS = (
    "valueSampledData",
    "Media",
    "ImagingStudy",
    "MolecularSequence",
    "waveform",
    "wearable",
    "continuous glucose",
    "video",
    "audio",
)


def device_reasons(product: dict[str, Any], words: str, sources: list[str]) -> list[str]:
    """Why this would be a device; `words` are title and outcome, `sources` where the inputs are read from."""
    return [*_time(product), *_spoken(product, words), *_signals(product, sources)]


def is_cleared(product: dict[str, Any]) -> bool:
    """Whether a clearance is on the card, by a number of the FDA's form."""
    return product.get("device_status") == "cleared" and bool(_CLEARANCE.fullmatch(str(product.get("clearance") or "")))


def attribute_reasons(users: str, decision_role: str, statement_1557: str, unexplained: list[str]) -> Iterator[str]:
    """What keeps it off cards although it is no device: users, role, inputs nobody can judge, missing statement."""
    if _PATIENTS.search(users):
        yield "its users would be patients; decision support that needs no clearance is for health care professionals"
    if "replace" in decision_role.lower():
        yield "it would replace the decision; it may inform or augment it"
    if unexplained:
        yield f"nothing says why these inputs matter clinically: {', '.join(unexplained)}"
    if len(statement_1557.strip()) < 10:
        yield "there is no statement under 45 CFR 92.210 (section 1557)"


def _time(product: dict[str, Any]) -> Iterator[str]:
    horizon, window = product.get("horizon_hours"), product.get("acting_window_hours")
    if not isinstance(horizon, float | int) or not isinstance(window, float | int):
        yield "its horizon and the time there is to act are not said (horizon_hours, acting_window_hours)"
        return
    if horizon <= SHORTEST_HOURS:
        yield f"it predicts the next {horizon:g} hours"
    if window < SHORTEST_HOURS:
        yield f"there are {window:g} hours to act"
    if product.get("time_critical") is not False:
        yield "it is time-critical"
    if product.get("output_type") == "alarm":
        yield "its output is an alarm"


def _spoken(product: dict[str, Any], words: str) -> Iterator[str]:
    """What it is called and what it says count, whatever the fields of the card declare."""
    said = " ".join([words, *map(str, product.get("indications", []))]).lower()
    if named := [term for term in TIME_CRITICAL if term in said]:
        yield f"it is about {', '.join(named)}"
    for match in _SOON.finditer(said):
        number, unit = (match[1], match[2]) if match[1] else (match[3], match[4])
        hours = int(number) / 60 if unit.startswith("m") else float(number)
        if hours <= SHORTEST_HOURS:
            yield f"its words speak of {match.group().strip()}"
            return


def _signals(product: dict[str, Any], sources: list[str]) -> Iterator[str]:
    declared = [str(signal) for signal in product.get("signals", [])]
    found = [*declared, *(source for source in sources if any(signal in source for signal in _SIGNALS))]
    if found:
        yield f"it takes signals, images or sequences: {', '.join(found)}"
