"""Is the model card complete and the one in the file, and does what it declares allow the model on cards?

What a program cannot judge is answered by a person on the card (`product.irm`). Behind a trust file two people of a
site approve the release that has these answers. The declared figures are compared with limits here.

Sources: FD&C Act 520(o)(1)(E); FDA, Clinical Decision Support Software, final guidance of September 2022 as revised in
January 2026; town hall of 11 March 2026. This classification is provisional: a site's legal counsel decides.
"""

from collections.abc import Iterator
from datetime import date, timedelta

from fhir.mapping.features.catalog import FEATURES
from models_onnx.errors import ArtifactRefused
from models_onnx.model_card.attributes import attribute_of
from models_onnx.model_card.schema import DECLARED, card_problems
from models_onnx.workbench.gates.gate import Verdict
from models_onnx.workbench.gates.subject import Evidence, Subject
from models_onnx.workbench.release.card import computed_attributes
from models_onnx.workbench.release.embed import core_digest, read_card

REVIEW_DAYS = 366
SHORTEST_HOURS = 24.0
# The hooks of this server are planned contacts; its records do not show who is acutely ill in hospital.
SETTINGS = frozenset({"outpatient", "discharge", "population"})


def check_card(subject: Subject, evidence: Evidence) -> Verdict:
    """Check that the card is complete, the one in the file, reviewed within a year, and allows the model on cards."""
    if not subject.card:
        return Verdict("", ("there is no model card (card.json)",))
    if (kind := subject.card.get("kind")) != "predictive":
        return Verdict("", (f"the card is of the kind {kind!r}; that of a model is 'predictive'",))
    faults = card_problems(subject.card)
    if not faults:
        faults = [*_drift(subject), *_other_figures(subject)]
        faults += [*_declared(subject, evidence.as_of), *_device(subject), *_population(subject)]
    reviewed = subject.product.get("irm", {}).get("reviewed", "")
    return Verdict(f"The card is complete and in the file; its risks were reviewed on {reviewed}.", tuple(faults))


def _declared(subject: Subject, as_of: date) -> Iterator[str]:
    """Yield each question of the review that is not answered with yes, inputs without a reason, and an old review."""
    review = subject.product["irm"]
    for name, question in DECLARED.items():
        if review[name] is not True:
            yield f"{review['by']} does not answer yes to: {question} (irm.{name})"
    if unexplained := [item.name for item in subject.features if not _has_evidence(subject, item.name)]:
        yield f"nothing says why these inputs matter clinically: {', '.join(unexplained)}"
    reviewed = date.fromisoformat(review["reviewed"])
    if not timedelta(0) <= as_of - reviewed <= timedelta(days=REVIEW_DAYS):
        yield f"its risks were last reviewed on {reviewed}; at most 12 months may pass"


def _has_evidence(subject: Subject, name: str) -> bool:
    return name in subject.product.get("input_evidence", {}) or (name in FEATURES and bool(FEATURES[name].evidence))


def _device(subject: Subject) -> list[str]:
    """Return why it would be a medical device, from what the card declares; empty for one that is cleared."""
    product = subject.product
    if product["device_status"] == "cleared" and product.get("clearance"):
        return []
    horizon, window = product["horizon_hours"], product["acting_window_hours"]
    reasons = {
        f"it predicts the next {horizon:g} hours": horizon <= SHORTEST_HOURS,
        f"there are {window:g} hours to act": window < SHORTEST_HOURS,
        "it is time-critical": product["time_critical"],
        "its output is an alarm": product["output_type"] == "alarm",
        f"it takes signals, images or sequences: {', '.join(product.get('signals', []))}": product.get("signals"),
    }
    device = "; ".join(reason for reason, holds in reasons.items() if holds)
    return [f"refused for cards, it would be a medical device: {device}; and no clearance is given"] if device else []


def _population(subject: Subject) -> Iterator[str]:
    if (setting := subject.product["setting"]) not in SETTINGS:
        yield (
            f"its population is {setting}; this server's hooks are of planned contacts and cannot tell such patients "
            "from others, so nobody would be kept out. A model for the end of a stay has the setting discharge, one "
            "for visits outpatient, one for lists population (product.setting of its card)"
        )


def _drift(subject: Subject) -> list[str]:
    try:
        inside = read_card(subject.content)
    except ArtifactRefused as problem:
        return [str(problem)]
    faults = []
    if inside != subject.card:
        faults.append("card.json is not the card inside the model file")
    model = subject.card["model"]
    if (model["id"], model["version"]) != (subject.id, subject.manifest.version):
        faults.append(f"the card is of {model['id']} {model['version']}")
    if model.get("core_sha256") != core_digest(subject.content):
        faults.append("the card was written for another model file (core_sha256)")
    return faults


def _other_figures(subject: Subject) -> list[str]:
    """Attributes that follow from the manifest and say something else: the card was written for another model."""
    wrong = [
        path
        for path, computed in computed_attributes(subject.manifest).items()
        if not str(attribute_of(subject.card, path).get("words", "")).startswith(computed)
    ]
    return [f"the card does not say what the manifest gives: {', '.join(wrong)}"] if wrong else []
