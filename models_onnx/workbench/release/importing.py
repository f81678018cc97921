"""Takes in a model file that somebody else trained: checked, described, signed as a draft. Never unpickled."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from models_onnx.artifact.files import write_whole
from models_onnx.artifact.folder import CARD, LARGEST_BYTES, MANIFEST, MODEL
from models_onnx.artifact.keys import Signer
from models_onnx.artifact.manifest import IMPORT_FORMAT, ImportedManifest, ModelFile
from models_onnx.artifact.onnx_file import refuse_unsafe
from models_onnx.artifact.release_file import Release, file_digest
from models_onnx.errors import CardIncomplete, ImportRefused, TrainingRefused, UnsafeModel
from models_onnx.model_card.attributes import Card
from models_onnx.model_card.embed import core_digest, embed_card, without_card
from models_onnx.model_card.schema import refuse_incomplete_card
from models_onnx.serving.runtime import session_of
from models_onnx.spec import Fitted, ModelSpec, get_spec
from models_onnx.workbench.mlflow_folder import read_mlflow
from models_onnx.workbench.release.card import refuse_incomplete_words
from models_onnx.workbench.release.publishing import encode_card, sign_folder
from models_onnx.workbench.training.commands import train_model
from models_onnx.workbench.training.crossvalidate import Progress
from models_onnx.workbench.training.pipeline import Trained


@dataclass(frozen=True, slots=True)
class Signature:
    """Names, types and shapes of what goes in and comes out, as the runtime sees them."""

    inputs: tuple[tuple[str, str, tuple[Any, ...]], ...]
    outputs: tuple[str, ...]
    no_numbers: tuple[str, ...] = ()
    """Outputs that are no number for a row of zeros."""


_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}


def read_signature(content: bytes) -> Signature:
    """Return the signature of a file that loads and runs one row of zeros; UnsafeModel where it does not."""
    try:
        session = session_of(content)
        inputs = tuple((item.name, item.type, tuple(item.shape)) for item in session.get_inputs())
        row = {
            name: np.zeros([size if isinstance(size, int) and size > 0 else 1 for size in shape], _TYPES[kind])
            for name, kind, shape in inputs
        }
        outputs = [item.name for item in session.get_outputs()]
        answers = dict(zip(outputs, map(np.asarray, session.run(None, row)), strict=True))
    except KeyError as kind:
        raise UnsafeModel(f"the model takes a {kind.args[0]}, which is not taken in") from kind
    except Exception as problem:  # the classes of the runtime have no common one
        raise UnsafeModel(f"the model could not be loaded and run: {str(problem)[:200]}") from problem
    no_numbers = [name for name, answer in answers.items() if answer.dtype.kind == "f" and np.isnan(answer).any()]
    return Signature(inputs, tuple(outputs), tuple(no_numbers))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the bytes came from, and the names of the inputs as that place tells them (empty: it does not)."""

    content: bytes
    words: str
    inputs: tuple[str, ...] = ()


def import_with_card(
    file: str, card: Path | None, feature_map: Path | None, out: Path, signer: Signer
) -> tuple[ImportedManifest, Release]:
    """Return an ONNX file, or that of an MLflow folder, taken in with its card and its feature map.

    Raises:
        ModelError: the file, the card or the map cannot be used; the message says why.
    """
    if card is None or feature_map is None:
        raise ImportRefused(
            "a fitted model is compiled by its declaration: add --spec (docs/adding/hospital-model.md). An ONNX file "
            "that is taken in as it is needs --card and --features (docs/models/registry.md)"
        )
    return import_model(Path(file), read_json(card), read_json(feature_map), out, signer)


def adopt(
    fitted: str, declaration: Path, data: Path, out: Path, seed: int, replicates: int, progress: Progress
) -> Trained:
    """Compiles and evaluates a fitted model by its declaration, and writes its artifact where its floors hold.

    Raises:
        ModelError: the file, the declaration or the table cannot be used.
    """
    spec = _declared(declaration, fitted)
    refuse_incomplete_words(spec.id, declaration.parent, spec.subgroups)
    return train_model(spec.id, data, out, seed, replicates, progress, declaration.parent)


def _declared(path: Path, fitted: str) -> ModelSpec:
    """Return the declaration, which must name this fitted model, so that the gates can compile it again."""
    if not path.is_file():
        raise TrainingRefused(f"{path} is not there; docs/adding/hospital-model.md shows a declaration")
    spec = get_spec(path.stem, path.parent)
    is_code = ":" in fitted and "/" not in fitted.partition(":")[0]
    source = fitted if is_code else _beside(Path(fitted), path.parent)
    if not isinstance(spec.estimator, Fitted):
        raise TrainingRefused(
            f"{path.name} declares an estimator that is fitted here. To import, take Fitted from models_onnx.spec and "
            f"write estimator=Fitted({source!r}, trained_on='WHOM IT WAS TRAINED ON')"
        )
    if spec.estimator.source != source:
        raise TrainingRefused(
            f"{path.name} declares Fitted({spec.estimator.source!r}), and the command names {source!r}"
        )
    return spec


def _beside(fitted: Path, folder: Path) -> str:
    """Return the path as the declaration writes it: from its own folder."""
    if not fitted.exists():
        return str(fitted)
    try:
        return str(fitted.resolve().relative_to(folder.resolve()))
    except ValueError:
        raise TrainingRefused(f"{fitted} lies outside {folder}: put it beside the declaration") from None


def import_model(
    path: Path, card: Card, feature_map: dict[str, Any], out: Path, signer: Signer
) -> tuple[ImportedManifest, Release]:
    """Return the imported model, written to `<out>/<id>` and signed as a draft.

    UnsafeModel, CardIncomplete or ImportRefused with the reason; nothing is written then.
    """
    origin = read_origin(path)
    content = without_card(origin.content)
    refuse_unsafe(content)
    described = _described(feature_map, origin)
    complete = _complete(card, described, content)
    refuse_incomplete_card(complete)
    home = out / described.id
    if home.exists():
        raise ImportRefused(f"{home} is there already; another version goes into another folder (--out)")
    signature = read_signature(content)
    _refuse_other_tensors(described, signature, origin)
    return _write(home, _wired(described, signature), content, complete, signer)


def read_origin(path: Path) -> Origin:
    """Read the bytes of an ONNX file, or of the ONNX model in an MLflow model folder; UnsafeModel for anything else."""
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


def _described(feature_map: dict[str, Any], origin: Origin) -> ImportedManifest:
    document = {
        **feature_map,
        "format": IMPORT_FORMAT,
        "file": {"name": MODEL, "sha256": "", "bytes": 0},
        "came_from": f"{origin.words}, sha256 {hashlib.sha256(origin.content).hexdigest()}",
        "features": [_feature(item) for item in feature_map.get("features", [])],
        "wiring": feature_map.get("tensors", {}),
    }
    document.pop("tensors", None)
    try:
        imported = msgspec.convert(document, ImportedManifest, strict=True)
    except msgspec.ValidationError as problem:
        raise ImportRefused(f"the feature map does not say what it must: {problem}") from problem
    if not imported.features:
        raise ImportRefused("the feature map names no features")
    if not imported.id.replace("_", "").replace("-", "").isalnum():
        raise ImportRefused(f"{imported.id!r} is no id: letters, digits, _ and - only")
    return imported


def _feature(item: Any) -> dict[str, Any]:
    """Return the feature in the words of a manifest: a map writes `low`, `high` and `reference` for its ends."""
    if not isinstance(item, dict):
        raise ImportRefused("each feature of the map is an object")
    renamed = {"low": "trained_low", "high": "trained_high", "reference": "reference_value"}
    renamed_item = {renamed.get(str(name), str(name)): value for name, value in item.items()}
    complete: dict[str, Any] = {"loinc": [], "fhir": "", "clip_high": None, "group": None, **renamed_item}
    for name in ("trained_low", "trained_high", "reference_value"):
        if isinstance(complete.get(name), int):
            complete[name] = float(complete[name])
    return complete


def _wired(imported: ImportedManifest, signature: Signature) -> ImportedManifest:
    """Return the wiring without the outputs that the file does not have: what is not there is not promised."""
    outputs = set(signature.outputs)
    wiring = imported.wiring
    optional = ("margin", "contributions", "missing", "out_of_range")
    absent = {name: None for name in optional if getattr(wiring, name) not in outputs}
    return msgspec.structs.replace(imported, wiring=msgspec.structs.replace(wiring, **absent))


def _refuse_other_tensors(imported: ImportedManifest, signature: Signature, origin: Origin) -> None:
    inputs, outputs = {name for name, _, _ in signature.inputs}, set(signature.outputs)
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
    if wiring.probability in signature.no_numbers:
        raise ImportRefused(f"{wiring.probability} is no number for a row of zeros: weights of the file may be none")
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


def _complete(card: Card, imported: ImportedManifest, content: bytes) -> Card:
    """Return the card with the model it is of; one that names another model is not taken."""
    model = card.get("model") if isinstance(card, dict) else None
    if not isinstance(model, dict):
        raise CardIncomplete("the card says nothing about its model (model.id, model.version, model.title)")
    if (model.get("id"), model.get("version")) != (imported.id, imported.version):
        raise CardIncomplete(
            f"the card is of {model.get('id')} {model.get('version')}, the map of {imported.id} {imported.version}"
        )
    return {**card, "model": {**model, "core_sha256": core_digest(content)}}


def _write(
    folder: Path, imported: ImportedManifest, content: bytes, card: Card, signer: Signer
) -> tuple[ImportedManifest, Release]:
    complete = embed_card(content, card)
    fact = file_digest(complete)
    imported = msgspec.structs.replace(imported, file=ModelFile(MODEL, fact.sha256, fact.bytes))
    folder.mkdir(parents=True)
    write_whole(folder / MODEL, complete)
    write_whole(folder / CARD, encode_card(card))
    write_whole(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(imported), indent=1) + b"\n")
    return imported, sign_folder(folder, imported.id, imported.version, signer)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in that file; ImportRefused otherwise."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ImportRefused(f"{path} cannot be read as JSON: {problem}") from problem
    if not isinstance(document, dict):
        raise ImportRefused(f"{path} holds no object")
    return document
