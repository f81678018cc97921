"""Takes in a model file that somebody else trained: checked, probed, described, signed as a draft. Never unpickled."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from models_onnx.artifact import CARD, LARGEST_BYTES, MANIFEST, MODEL
from models_onnx.card.check import Card, refuse_incomplete
from models_onnx.card.embed import core_digest, embedded, without_card
from models_onnx.errors import CardIncomplete, ImportRefused, UnsafeModel
from models_onnx.imported import FORMAT, Imported
from models_onnx.manifest import File
from models_onnx.mlflow_folder import read_mlflow
from models_onnx.onnx_file import refuse_unsafe
from models_onnx.probing import Signature, probe
from models_onnx.publishing import encode_card, sign_folder
from models_onnx.signing.keys import Signer
from models_onnx.signing.release import Release, fact_of


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the bytes came from, and the names of the inputs as that place tells them (empty: it does not)."""

    content: bytes
    words: str
    inputs: tuple[str, ...] = ()


def import_model(
    path: Path, card: Card, feature_map: dict[str, Any], out: Path, signer: Signer
) -> tuple[Imported, Release]:
    """The imported model, written to `<out>/<id>` and signed as a draft.

    UnsafeModel, CardIncomplete or ImportRefused with the reason; nothing is written then.
    """
    origin = read_origin(path)
    content = without_card(origin.content)
    refuse_unsafe(content)
    described = _described(feature_map, origin)
    complete = _complete(card, described, content)
    refuse_incomplete(complete)
    home = out / described.id
    if home.exists():
        raise ImportRefused(f"{home} is there already; another version goes into another folder (--out)")
    signature = probe(content)
    _refuse_other_tensors(described, signature, origin)
    return _write(home, _wired(described, signature), content, complete, signer)


def read_origin(path: Path) -> Origin:
    """The bytes of an ONNX file, or of the ONNX model in an MLflow model folder; UnsafeModel for anything else."""
    if path.is_dir():
        logged = read_mlflow(path)
        return Origin(_read(logged.model), logged.words, logged.inputs)
    return Origin(_read(path), f"file {path.name}")


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ImportRefused(f"{path} is not there")
    if path.stat().st_size > LARGEST_BYTES:
        raise UnsafeModel(f"{path.name} is larger than {LARGEST_BYTES // 2**20} MB")
    return path.read_bytes()


def _described(feature_map: dict[str, Any], origin: Origin) -> Imported:
    document = {
        **feature_map,
        "format": FORMAT,
        "file": {"name": MODEL, "sha256": "", "bytes": 0},
        "came_from": f"{origin.words}, sha256 {hashlib.sha256(origin.content).hexdigest()}",
        "features": [_feature(item) for item in feature_map.get("features", [])],
        "wiring": feature_map.get("tensors", {}),
    }
    document.pop("tensors", None)
    try:
        imported = msgspec.convert(document, Imported, strict=True)
    except msgspec.ValidationError as problem:
        raise ImportRefused(f"the feature map does not say what it must: {problem}") from problem
    if not imported.features:
        raise ImportRefused("the feature map names no features")
    if not imported.id.replace("_", "").replace("-", "").isalnum():
        raise ImportRefused(f"{imported.id!r} is no id: letters, digits, _ and - only")
    return imported


def _feature(item: Any) -> dict[str, Any]:
    """A map writes `low`, `high` and `reference`; a manifest says which low and which reference."""
    if not isinstance(item, dict):
        raise ImportRefused("each feature of the map is an object")
    renamed = {"low": "trained_low", "high": "trained_high", "reference": "reference_value"}
    told = {renamed.get(str(name), str(name)): value for name, value in item.items()}
    given: dict[str, Any] = {"loinc": [], "fhir": "", "clip_high": None, "group": None, **told}
    for name in ("trained_low", "trained_high", "reference_value"):
        if isinstance(given.get(name), int):
            given[name] = float(given[name])
    return given


def _wired(imported: Imported, signature: Signature) -> Imported:
    """The wiring without the outputs that the file does not have: what is not there is not promised."""
    outputs = {name for name, _, _ in signature.outputs}
    told = imported.wiring
    optional = ("margin", "contributions", "missing", "out_of_range")
    absent = {name: None for name in optional if getattr(told, name) not in outputs}
    return msgspec.structs.replace(imported, wiring=msgspec.structs.replace(told, **absent))


def _refuse_other_tensors(imported: Imported, signature: Signature, origin: Origin) -> None:
    inputs, outputs = {name for name, _, _ in signature.inputs}, {name for name, _, _ in signature.outputs}
    wiring = imported.wiring
    if wiring.input not in inputs or len(inputs) > 1:
        raise ImportRefused(
            f"the map says input {wiring.input!r}, the file takes {', '.join(sorted(inputs))}; one tensor of rows is "
            "needed"
        )
    if wiring.probability not in outputs:
        raise ImportRefused(
            f"the map says the probability is {wiring.probability!r}, the file gives {', '.join(sorted(outputs))}"
        )
    _, kind, shape = next(item for item in signature.inputs if item[0] == wiring.input)
    if kind != "tensor(float)" or len(shape) != 2:
        raise ImportRefused(f"{wiring.input} is {kind} {list(shape)}; float32 rows are needed")
    if isinstance(shape[1], int) and shape[1] != len(imported.features):
        raise ImportRefused(f"the file takes {shape[1]} values, the map names {len(imported.features)} features")
    names = tuple(item.name for item in imported.features)
    if origin.inputs and origin.inputs != names:
        raise ImportRefused(
            f"the map names {', '.join(names)}; the MLflow signature says {', '.join(origin.inputs)}, in this order"
        )


def _complete(card: Card, imported: Imported, content: bytes) -> Card:
    """The card with the model it is of; one that names another model is not taken."""
    model = card.get("model") if isinstance(card, dict) else None
    if not isinstance(model, dict):
        raise CardIncomplete("the card says nothing about its model (model.id, model.version, model.title)")
    if (model.get("id"), model.get("version")) != (imported.id, imported.version):
        raise CardIncomplete(
            f"the card is of {model.get('id')} {model.get('version')}, the map of {imported.id} {imported.version}"
        )
    return {**card, "model": {**model, "core_sha256": core_digest(content)}}


def _write(folder: Path, imported: Imported, content: bytes, card: Card, signer: Signer) -> tuple[Imported, Release]:
    complete = embedded(content, card)
    fact = fact_of(complete)
    imported = msgspec.structs.replace(imported, file=File(MODEL, fact.sha256, fact.bytes))
    folder.mkdir(parents=True)
    (folder / MODEL).write_bytes(complete)
    (folder / CARD).write_bytes(encode_card(card))
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(imported), indent=1) + b"\n")
    return imported, sign_folder(folder, imported.id, imported.version, signer)


def read_json(path: Path) -> dict[str, Any]:
    """The object in that file; ImportRefused otherwise."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ImportRefused(f"{path} cannot be read as JSON: {problem}") from problem
    if not isinstance(found, dict):
        raise ImportRefused(f"{path} holds no object")
    return found
