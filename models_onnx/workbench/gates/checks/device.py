"""G15: is the model decision support that needs no clearance as a device, with the statement on discrimination?

The reasons against it are those of responsible-ai.md 2.

Sources: FD&C Act 520(o)(1)(E); FDA, Clinical Decision Support Software, final guidance of September 2022 as revised in
January 2026; town hall of 11 March 2026. This classification is provisional: a site's legal counsel decides.
"""

import re
from collections.abc import Iterator
from typing import Any

from fhir.mapping.features.catalog import FEATURES
from models_onnx.workbench.gates.gate import Verdict
from models_onnx.workbench.gates.subject import Evidence, Subject
from models_onnx.workbench.release.card import card_text

SHORTEST_HOURS = 24.0
# Words of time-critical indications.
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
    """Return the reasons why this is a device; `words` are title and outcome, `sources` where the inputs are from."""
    return [*_time(product), *_spoken(product, words), *_signals(product, sources)]


def is_cleared(product: dict[str, Any]) -> bool:
    """Return whether the card names a clearance by a number in the FDA's format."""
    return product.get("device_status") == "cleared" and bool(_CLEARANCE.fullmatch(str(product.get("clearance") or "")))


def attribute_reasons(users: str, decision_role: str, statement_1557: str, unexplained: list[str]) -> Iterator[str]:
    """Yield why it may not be shown on cards although it is no device.

    The reasons concern users, role, inputs that nobody can review, and a missing statement.
    """
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
    """Judges the title and the texts, whatever the fields of the card declare."""
    text = " ".join([words, *map(str, product.get("indications", []))]).lower()
    if terms := [term for term in TIME_CRITICAL if term in text]:
        yield f"it is about {', '.join(terms)}"
    for match in _SOON.finditer(text):
        number, unit = (match[1], match[2]) if match[1] else (match[3], match[4])
        hours = int(number) / 60 if unit.startswith("m") else float(number)
        if hours <= SHORTEST_HOURS:
            yield f"its words name {match.group().strip()}"
            return


def _signals(product: dict[str, Any], sources: list[str]) -> Iterator[str]:
    declared = [str(signal) for signal in product.get("signals", [])]
    signals = [*declared, *(source for source in sources if any(signal in source for signal in _SIGNALS))]
    if signals:
        yield f"it takes signals, images or sequences: {', '.join(signals)}"


def check_device(subject: Subject, _evidence: Evidence) -> Verdict:
    """Check that it is not time-critical, reads no signals and leaves the decision to its users, or is cleared."""
    product, card = subject.product, subject.card
    if not product:
        return Verdict("", ("there is no card that says what it is for",))
    words = f"{subject.manifest.title} {subject.manifest.outcome.words}"
    device = device_reasons(product, words, [item.fhir for item in subject.features])
    faults = []
    if device and not is_cleared(product):
        faults.append(
            f"refused for cards, it would be a medical device: {'; '.join(device)}; and no clearance is given"
        )
    faults += attribute_reasons(
        card_text(card, "purpose.users"),
        card_text(card, "purpose.decision_role"),
        str(product.get("section_1557", "")),
        [item.name for item in subject.features if not _has_evidence(subject, item.name)],
    )
    hours = [product.get(name) for name in ("horizon_hours", "acting_window_hours")]
    horizon, window = [f"{value:g} h" if isinstance(value, float | int) else "not said" for value in hours]
    sentence = f"{product.get('device_status')}: horizon {horizon}, time to act {window}."
    return Verdict(sentence if not faults else "", tuple(faults), {"device_reasons": device})


def _has_evidence(subject: Subject, name: str) -> bool:
    declared = subject.product.get("input_evidence")
    if isinstance(declared, dict) and len(str(declared.get(name, ""))) >= 10:
        return True
    return name in FEATURES and bool(FEATURES[name].evidence)
