"""New versions of models: renewed from the table of `data --followed`, or taken in as somebody else fitted them."""

import re
from pathlib import Path
from typing import Any

from fhir.terminology.plain_file import unreadable
from models_onnx.artifact.files import encode_json
from models_onnx.artifact.folder import VERSION_SIGN, read_manifest
from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import TrainingRefused, UnknownModel
from models_onnx.model_card.schema import NOT_RECORDED
from models_onnx.serving.registry import ARTIFACTS, Version, find_version, versions
from models_onnx.spec import ModelSpec, get_spec
from models_onnx.spec.model_file import SUFFIX
from models_onnx.spec.renewal import RENEWAL, Renewal, renewed_spec
from models_onnx.workbench.release.card import declared_words, merge_words, write_words
from models_onnx.workbench.training.commands import train_model
from models_onnx.workbench.training.crossvalidate import Progress
from models_onnx.workbench.training.data.cohort import read_csv

_GROUPS = ("race", "ethnicity")
_NUMBER = re.compile(r"(\d+)\.(\d+)(?:\.\d+)*(?:\+.*)?$")


def renew(
    name: str,
    table: Path,
    number: str | None,
    out: Path,
    specs: Path,
    seed: int,
    replicates: int,
    progress: Progress,
) -> Path:
    """Train a new version, and return its folder, beside the one in use.

    `specs` gets the renewal and the words of its card; they go again where the version is not written.

    Raises:
        TrainingRefused, DeclarationError, UnknownModel: The model or the table cannot be used.
    """
    earlier = _earlier(name, out)
    manifest = read_manifest(earlier.folder)
    renewal = _renewal(manifest, table, number or _next_number(earlier, out))
    new = f"{manifest.id}{VERSION_SIGN}{renewal.version}"
    path, spec = specs / RENEWAL.format(name=new), get_spec(manifest.id, specs)
    if path.is_file() or any(version.version == renewal.version for version in versions(manifest.id, out)):
        raise TrainingRefused(f"{new} is there already; give the new version another number (--version)")
    renewed = renewed_spec(spec, renewal)
    words_file = specs / f"{new}.card.json"
    try:
        write_words(words_file, _words(spec, renewed, renewal, specs))
        path.write_bytes(encode_json(renewal))
        return train_model(new, table.parent, out, seed, replicates, progress, specs)
    except BaseException:
        for file in (path, words_file):
            file.unlink(missing_ok=True)
        raise


def _earlier(name: str, out: Path) -> Version:
    """Return the version to begin from, in this folder, else in the package."""
    try:
        return find_version(name, out)
    except UnknownModel:
        return find_version(name, ARTIFACTS)


def _next_number(earlier: Version, out: Path) -> str:
    """Return the next minor number after the highest version there is."""
    numbers = (_NUMBER.match(version.version) for version in (earlier, *versions(earlier.id, out)))
    parts = [(int(number[1]), int(number[2])) for number in numbers if number is not None]
    if not parts:
        raise TrainingRefused(f"{earlier.id} {earlier.version} has no number that can be counted on: give --version")
    major, minor = max(parts)
    return f"{major}.{minor + 1}.0"


def _renewal(manifest: Manifest, table: Path, number: str) -> Renewal:
    """Return the renewal; what it says of the table is read from its rows."""
    rows = read_csv(table, {"dtype": str, "keep_default_na": False}).to_dict("records")
    wanted = {"row", "patient", "fold", "year", "estimated_by", manifest.outcome.column}
    if absent := sorted(wanted - rows[0].keys()):
        raise TrainingRefused(
            f"{table.name} lacks {', '.join(absent)}; cds-hooks data {manifest.id} --followed --out FILE writes it"
        )
    years = sorted({row["year"] for row in rows})
    return Renewal(
        version=number,
        table=table.name,
        years=years[0] if len(years) == 1 else f"{years[0]}-{years[-1]}",
        groups=tuple(name for name in _GROUPS if any(row.get(name) for row in rows)),
    )


def _words(spec: ModelSpec, renewed: ModelSpec, renewal: Renewal, specs: Path) -> dict[str, Any]:
    """Return the words of the model's card for the new version: its groups and its last year, without old waivers."""
    words = declared_words(spec.id, specs)[1]
    if base := words.get("extends"):
        words = merge_words(declared_words(base, specs)[1], words)
    product = dict(words.get("product", {}))
    asked = product.get("fairness_axes", {})
    axes = {axis: kind for axis, kind in asked.items() if axis in renewed.subgroups or kind == NOT_RECORDED}
    product["fairness_axes"] = axes | dict.fromkeys(renewal.groups, "all")
    product["waivers"] = []
    product["data_last_year"] = int(renewal.years[-4:])
    label = dict(product.get("label", {}))
    audit = dict(label.get("audit", {}))
    if audit and not any(axis.startswith(audit["axis"]) for axis in renewed.subgroups):
        label["audit"] = audit | {"axis": next(iter(renewed.subgroups))}
        product["label"] = label
    return {"attributes": words.get("attributes", {}), "product": product}


def adopt(declaration: Path, data: Path, out: Path, seed: int, replicates: int, progress: Progress) -> Path:
    """Compile and evaluate the fitted model that a declaration names, and return the folder of its draft.

    Raises:
        ModelError: the fitted model, the declaration or the table cannot be used.
    """
    if not declaration.is_file():
        raise TrainingRefused(
            f"{unreadable(declaration)}: nothing was imported. docs/adding/model.md shows a declaration"
        )
    if not declaration.name.endswith(SUFFIX):
        raise TrainingRefused(
            f"{declaration.name} is not a declaration (NAME{SUFFIX}): write {declaration.stem}{SUFFIX}, "
            "which names this file (docs/adding/model.md), and import that; nothing was imported"
        )
    return train_model(declaration.name.removesuffix(SUFFIX), data, out, seed, replicates, progress, declaration.parent)
