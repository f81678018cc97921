"""Copies of the committed model, changed in one place and signed by a key of the tests: good ones and bad ones."""

import copy
import hashlib
import json
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from time import thread_time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import ModelProto, load_from_string

from models_onnx.artifact.files import encode_json
from models_onnx.artifact.keys import Signer, maintainers
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.workbench.gates.subject import Evidence, Subject, read_subject
from models_onnx.workbench.release.embed import core_digest, embed_card, read_card, without_card
from models_onnx.workbench.release.publishing import sign_folder

NAME = "mortality_5y"
AS_OF = date(2026, 11, 21)
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))), "the tests")
STRANGER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))), "a stranger")
KEYS = {**maintainers(), SIGNER.public.id: SIGNER.public}

Document = dict[str, Any]
Edit = Callable[[Document], object]


@cache
def _base() -> tuple[str, bytes]:
    folder = ARTIFACTS / NAME
    return (folder / "manifest.json").read_text(encoding="utf-8"), (folder / "model.onnx").read_bytes()


def good_manifest() -> Document:
    """The committed manifest, to be changed."""
    document: Document = json.loads(_base()[0])
    return document


def good_card() -> Document:
    """The committed card, to be changed."""
    return copy.deepcopy(read_card(_base()[1]))


def core() -> bytes:
    """The committed model file without its card."""
    return without_card(_base()[1])


def build(
    folder: Path,
    *,
    manifest: Edit = lambda _: None,
    card: Edit = lambda _: None,
    model: Callable[[ModelProto], object] | None = None,
    content: bytes | None = None,
    signer: Signer = SIGNER,
) -> Path:
    """`<folder>/mortality_5y`, changed as told and signed; the hashes are right whatever was changed."""
    home = folder / NAME
    home.mkdir(parents=True)
    described, said = good_manifest(), good_card()
    body = content if content is not None else core()
    if model is not None:
        proto = load_from_string(body)
        model(proto)
        body = proto.SerializeToString()
    said["model"]["core_sha256"] = hashlib.sha256(body).hexdigest() if content is not None else core_digest(body)
    manifest(described)
    card(said)
    whole = embed_card(body, said) if content is None else body
    described["file"].update(sha256=hashlib.sha256(whole).hexdigest(), bytes=len(whole))
    (home / "model.onnx").write_bytes(whole)
    (home / "card.json").write_bytes(encode_json(said))
    write_manifest(home, described)
    sign(home, signer)
    return home


def write_manifest(home: Path, document: Document) -> None:
    """Writes the manifest as it is."""
    (home / "manifest.json").write_text(json.dumps(document), encoding="utf-8")


def sign(home: Path, signer: Signer = SIGNER) -> None:
    """Signs the files as they lie there."""
    document = json.loads((home / "manifest.json").read_text(encoding="utf-8"))
    sign_folder(home, document["id"], document["version"], signer)


def subject(folder: Path, **changes: Any) -> Subject:
    """The same as the gates look at it."""
    return read_subject(build(folder, **changes), KEYS)


def figured(change: Edit = lambda _: None, **pieces: Any) -> Evidence:
    """Evidence with the committed figures as if they had been computed now, changed as told; the label was audited."""
    document = good_manifest()
    change(document)
    return evidence(**{"figures": document["evaluation"], "audited_before": "1.0.0", **pieces})


def evidence(**pieces: Any) -> Evidence:
    """Evidence with a clock of processor time and a day, and these pieces."""
    return Evidence(**{"as_of": AS_OF, "timer": thread_time, **pieces})
