"""G1: is the file safe and the one that was signed? G17: does the folder contain anything that it should not?

G14: is the model card complete, is it the one in the file, and were the risks reviewed within a year?
"""

import re
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from models_onnx.artifact.folder import CARD, MANIFEST, MODEL, read_manifest, refuse_other_files
from models_onnx.artifact.manifest import Provenance
from models_onnx.artifact.onnx_file import refuse_unsafe
from models_onnx.artifact.release_file import RELEASE, read_release
from models_onnx.errors import ArtifactRefused, UnsafeModel
from models_onnx.model_card.attributes import PREDICTIVE
from models_onnx.model_card.embed import core_digest, read_card
from models_onnx.model_card.origin import is_adopted
from models_onnx.model_card.schema import card_problems
from models_onnx.serving.runtime import RUN_ERRORS, session_of
from models_onnx.workbench.gates.gate import NotRun, Verdict
from models_onnx.workbench.gates.subject import Evidence, Subject
from models_onnx.workbench.release.card import OF_THE_MAKER, card_text, computed_attributes, default_words
from models_onnx.workbench.release.publishing import COMPARISON
from models_onnx.workbench.release.publishing import GATES as GATES_FILE

EXPECTED = frozenset({MODEL, MANIFEST, CARD, RELEASE, GATES_FILE, COMPARISON})
_SUFFIXES = frozenset({".onnx", ".json"})

# Patterns of content that may not be published: secrets, addresses of people, paths of somebody's machine.
_FORBIDDEN = (
    ("a private key", re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("an access token", re.compile(rb"\b(?:eyJ[\w-]{20,}\.[\w-]{20,}|gh[pousr]_\w{30,}|AKIA[0-9A-Z]{16})")),
    ("a social security number", re.compile(rb"\b\d{3}-\d{2}-\d{4}\b")),
    ("an e-mail address of a person", re.compile(rb"[\w.+-]+@(?!example\.)[\w-]+\.[a-z]{2,}", re.IGNORECASE)),
    ("a path of somebody's machine", re.compile(rb"(?:/home/|/Users/|[A-Z]:\\\\Users\\\\)[\w.-]+")),
    ("pickled Python", re.compile(rb"\x80\x04\x95.{8}\x8c|c__builtin__\n|csklearn\.", re.DOTALL)),
)
# Licences that responsible-ai.md 5.7 keeps out of what we ship or train with.
_LICENCES_OUT = re.compile(r"\b(?:AGPL|GPL|Business Source|BSL-1\.1|BUSL)", re.IGNORECASE)


def check_file(subject: Subject, _evidence: Evidence) -> Verdict:
    """Check signature, hashes, size, operators, no external data, and that it loads and runs."""
    try:
        release = read_release(subject.folder, subject.keys)
        refuse_other_files(subject.folder, release)
        refuse_unsafe(subject.content)
        read_manifest(subject.folder)
        inputs, outputs = _tensors(subject.content)
    except ArtifactRefused as problem:
        return Verdict("", (str(problem),))
    return Verdict(
        f"Signed by {subject.keys[release.key].name}; {len(subject.content):,} bytes, standard operators only; it "
        "loads and runs.",
        figures={
            "digest": release.digest,
            "bytes": len(subject.content),
            "inputs": inputs,
            "outputs": outputs,
        },
    )


def _tensors(content: bytes) -> tuple[list[str], list[str]]:
    """Return the names of inputs and outputs of a file that loads and runs one row of zeros; UnsafeModel otherwise."""
    try:
        session = session_of(content)
        row = {
            item.name: np.zeros([size if isinstance(size, int) and size > 0 else 1 for size in item.shape], np.float32)
            for item in session.get_inputs()
        }
        session.run(None, row)
    except RUN_ERRORS as problem:
        raise UnsafeModel(f"the model could not be loaded and run: {str(problem)[:200]}") from problem
    return [*row], [item.name for item in session.get_outputs()]


def check_contents(subject: Subject, evidence: Evidence) -> Verdict:
    """Check for only the files of a release, without secrets, personal data or code.

    The libraries that made it are listed, with licences that are allowed.
    """
    if evidence.installed is None:
        raise NotRun(evidence.why_absent("installed", "Nobody looked up the libraries it was made with."))
    strange = sorted(path.name for path in subject.folder.iterdir() if path.name not in EXPECTED)
    faults = [*(f"{name} is no part of a release" for name in strange), *_found_inside(subject.folder)]
    bill, unknown = _bill(subject, evidence)
    faults += unknown
    return Verdict(
        f"{len(bill)} components, none under a licence that is kept out; no secret, person or program in the files.",
        tuple(faults),
        figures={"components": len(bill)},
        rows=bill,
    )


def _found_inside(folder: Path) -> list[str]:
    faults = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in _SUFFIXES and path.name != GATES_FILE:
            content = path.read_bytes()
            faults += [
                f"{path.name} holds {content_kind}" for content_kind, pattern in _FORBIDDEN if pattern.search(content)
            ]
    return faults


def _bill(subject: Subject, evidence: Evidence) -> tuple[list[dict[str, str]], list[str]]:
    """Return the bill of materials: the model itself, its data, and every library named in the manifest."""
    rows = [
        {"component": subject.id, "kind": "machine-learning model", "version": subject.manifest.version, "licence": ""}
    ]
    faults = []
    rows.append({"component": subject.manifest.data.name, "kind": "data", "version": subject.manifest.data.sha256[:12],
                 "licence": ""})  # fmt: skip
    for name, version in sorted(subject.manifest.software.items()):
        installed = evidence.installed(name) if evidence.installed is not None else None
        licence = installed[1] if installed is not None else ""
        rows.append({"component": name, "kind": "library", "version": version, "licence": licence})
        if _LICENCES_OUT.search(licence):
            faults.append(f"{name} is under {licence}, which is kept out")
    return rows, faults


REVIEW_DAYS = 366
# Two long texts alike are no accident; one may be (who the users are, say).
LEAST_COPIED = 60
MOST_ALIKE = 2


def check_card(subject: Subject, evidence: Evidence) -> Verdict:
    """Check the 31 (or 13) attributes, of which the required ones are not blank.

    The card beside the file is the one inside it, and its review is recent.
    """
    if not subject.card:
        return Verdict("", ("there is no model card (card.json)",))
    faults = card_problems(subject.card)
    if not faults:
        faults = [*_drift(subject), *_review(subject, evidence.as_of)]
        faults += [*_other_figures(subject), *_mixed_people(subject)]
        faults += _copied(subject, evidence.other_cards or {})
    count = {"predictive": "31", "evidence-based": "13"}.get(subject.card.get("kind", ""), "?")
    return Verdict(f"All {count} attributes; the same card is in the file; risks reviewed.", tuple(faults))


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
    if subject.card.get("kind") != "predictive":
        return []
    wrong = [
        path
        for path, computed in computed_attributes(subject.manifest).items()
        if not card_text(subject.card, path).startswith(str(computed["words"]))
    ]
    return [f"the card does not say what the manifest gives: {', '.join(wrong)}"] if wrong else []


def _mixed_people(subject: Subject) -> list[str]:
    """Return what mixes the people whom an adopted model was fitted, evaluated and recalibrated on."""
    manifest = subject.manifest
    if not is_adopted(manifest):
        return []
    if not isinstance(manifest.provenance, Provenance):
        return ["on whom it was fitted, evaluated and recalibrated is not told apart (provenance): adopt it again"]
    facts = manifest.provenance
    faults = []
    if facts.fitted_on and _plain(facts.fitted_on) in (_plain(facts.evaluated_on), _plain(manifest.cohort.words)):
        faults.append(
            f"it was fitted elsewhere, and fitted on and evaluated on name the same people ({facts.fitted_on}): say "
            "whom it was fitted on, or leave trained_on empty where nobody knows"
        )
    return faults


def _plain(text: str) -> str:
    return " ".join(text.lower().rstrip(".").split())


def _copied(subject: Subject, other_cards: dict[str, dict[str, object]]) -> list[str]:
    """Other models whose own words this card repeats; what all cards of the project share is no copy."""
    shared, computed = default_words(), computed_attributes(subject.manifest)
    faults = []
    for name, card in other_cards.items():
        same = [
            attribute.title
            for attribute in PREDICTIVE
            if attribute.path not in computed
            and attribute.path not in OF_THE_MAKER
            and len(words := card_text(subject.card, attribute.path)) >= LEAST_COPIED
            and words not in shared
            and words == card_text(card, attribute.path)
        ]
        if len(same) >= MOST_ALIKE:
            faults.append(f"the card repeats that of {name}, another model: {', '.join(same)}")
    return faults


def _review(subject: Subject, as_of: date) -> list[str]:
    irm = subject.product.get("irm")
    if not isinstance(irm, dict):
        return [] if subject.card.get("kind") == "evidence-based" else ["no review of its risks is on the card (irm)"]
    reviewed = date.fromisoformat(irm["reviewed"])
    if not timedelta(0) <= as_of - reviewed <= timedelta(days=REVIEW_DAYS):
        return [f"its risks were last reviewed on {reviewed}; at most 12 months may pass"]
    return []
