"""G14: is the model card whole, is it the one in the file, and were the risks reviewed within a year."""

from datetime import date, timedelta

from models_onnx.card.check import problems
from models_onnx.card.embed import card_of, core_digest
from models_onnx.errors import ArtifactRefused
from models_onnx.gates.gate import Gate
from models_onnx.gates.result import Verdict
from models_onnx.gates.subject import Evidence, Subject

REVIEW_DAYS = 366


def check_card(subject: Subject, evidence: Evidence) -> Verdict:
    """31 (or 13) attributes, none blank that may not be; the same card beside and inside the file; a fresh review."""
    if not subject.card:
        return Verdict("", ("there is no model card (card.json)",))
    faults = problems(subject.card)
    if not faults:
        faults = [*_drift(subject), *_review(subject, evidence.as_of)]
    count = {"predictive": "31", "evidence-based": "13"}.get(subject.card.get("kind", ""), "?")
    return Verdict(f"All {count} attributes; the same card is in the file; risks reviewed.", tuple(faults))


def _drift(subject: Subject) -> list[str]:
    try:
        inside = card_of(subject.content)
    except ArtifactRefused as problem:
        return [str(problem)]
    faults = []
    if inside != subject.card:
        faults.append("card.json is not the card inside the model file")
    model = subject.card["model"]
    if (model["id"], model["version"]) != (subject.id, subject.about.version):
        faults.append(f"the card is of {model['id']} {model['version']}")
    if model.get("core_sha256") != core_digest(subject.content):
        faults.append("the card was written for another model file (core_sha256)")
    return faults


def _review(subject: Subject, as_of: date) -> list[str]:
    irm = subject.product.get("irm")
    if not isinstance(irm, dict):
        return [] if subject.card.get("kind") == "evidence-based" else ["no review of its risks is on the card (irm)"]
    reviewed = date.fromisoformat(irm["reviewed"])
    if not timedelta(0) <= as_of - reviewed <= timedelta(days=REVIEW_DAYS):
        return [f"its risks were last reviewed on {reviewed}; at most 12 months may pass"]
    return []


GATES = (Gate("G14", "Model card", "Is everything said that a reader has a right to know?", check_card, False),)
