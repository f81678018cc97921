"""G15: is it decision support that needs no clearance, with the statement on discrimination."""

from fhir.mapping.features import FEATURES
from models_onnx.gates.fda_guard import attribute_reasons, device_reasons, is_cleared
from models_onnx.gates.gate import Gate
from models_onnx.gates.result import Verdict
from models_onnx.gates.subject import Evidence, Subject


def check_device(subject: Subject, _evidence: Evidence) -> Verdict:
    """No time-critical use, no signals, professionals who decide themselves; or a clearance by its number."""
    product, card = subject.product, subject.card
    if not product:
        return Verdict("", ("there is no card that says what it is for",))
    words = f"{subject.about.title} {subject.about.outcome.words}"
    device = device_reasons(product, words, [item.fhir for item in subject.features])
    faults = []
    if device and not is_cleared(product):
        faults.append(
            f"refused for cards, it would be a medical device: {'; '.join(device)}; and no clearance is given"
        )
    faults += attribute_reasons(
        _said(card, "purpose", "users"),
        _said(card, "purpose", "decision_role"),
        str(product.get("section_1557", "")),
        [item.name for item in subject.features if not _has_evidence(subject, item.name)],
    )
    horizon = product.get("horizon_hours")
    said = (
        f"{product.get('device_status')}: horizon {horizon:g} h, time to act {product.get('acting_window_hours'):g} h."
    )
    return Verdict(said if not faults else "", tuple(faults), {"device_reasons": device})


def _said(card: dict[str, object], section: str, key: str) -> str:
    part = card.get(section)
    value = part.get(key) if isinstance(part, dict) else None
    return str(value.get("words", "")) if isinstance(value, dict) else ""


def _has_evidence(subject: Subject, name: str) -> bool:
    declared = subject.product.get("input_evidence")
    if isinstance(declared, dict) and len(str(declared.get(name, ""))) >= 10:
        return True
    return name in FEATURES and bool(FEATURES[name].evidence)


GATES = (Gate("G15", "FDA guard", "Is it decision support that needs no clearance?", check_device, False),)
