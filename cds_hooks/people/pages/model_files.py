"""What the pages read of the models that are served here, and of the documents behind the rules."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cards.rules.engine.governance import all_rule_versions
from cards.rules.language.rule import Evidence
from cds_hooks.telemetry.logs import log
from models_onnx.artifact.folder import CARD, VERSION_SIGN, read_manifest
from models_onnx.artifact.manifest import Manifest
from models_onnx.artifact.release_file import RELEASE, Release, parse_release
from models_onnx.errors import ModelError
from models_onnx.serving.registry import ARTIFACTS, model_ids, version_ids

_T = TypeVar("_T")


class GateRow(msgspec.Struct, frozen=True):
    """One gate of the report; `status` is passed, waived, failed or the like."""

    gate: str
    title: str
    status: str
    why: str
    clears: str = ""


class _GateReport(msgspec.Struct):
    results: list[GateRow] = []


def _read_gates(folder: Path) -> list[GateRow]:
    return msgspec.json.decode((folder / "gates.json").read_bytes(), type=_GateReport).results


class ModelFiles:
    """What the pages read of the models that are served here: those of the package, and of a folder of the site's own.

    Each is read once; a model whose files are refused has neither manifest nor card, and the log says so.
    """

    def __init__(self, site_folder: Path | None) -> None:
        folders = [ARTIFACTS, *([site_folder] if site_folder is not None else [])]
        names = ((folder, name) for folder in reversed(folders) for name in (*model_ids(folder), *version_ids(folder)))
        self._folders = {name: folder / name for folder, name in names}
        self._read: dict[tuple[str, str], Any] = {}

    def names(self) -> list[str]:
        """Return the ids of the models in use."""
        return sorted(name for name in self._folders if VERSION_SIGN not in name)

    def folder(self, name: str) -> Path | None:
        """Return the folder of a model or of a version beside it; None for any other name."""
        return self._folders.get(name)

    def manifest(self, model_id: str) -> Manifest | None:
        """Return the manifest of a model, or of a version beside it (`id@version`); None for any other name."""
        return self._once("manifest", model_id, read_manifest)

    def manifests(self) -> dict[str, Manifest]:
        """Return the manifests of the models in use that are not refused, by the id."""
        manifests = {name: self.manifest(name) for name in self.names()}
        return {name: manifest for name, manifest in manifests.items() if manifest is not None}

    def card(self, model_id: str) -> dict[str, Any] | None:
        """Return the card of that model; None where there is none, as in a draft that nobody signed."""
        if self.release(model_id) is None:
            return None
        return self._once("card", model_id, lambda folder: msgspec.json.decode((folder / CARD).read_bytes()))

    def release(self, model_id: str) -> Release | None:
        """Return the release of that model; None where it was never published."""
        folder = self._folders.get(model_id)
        return self._once("release", model_id, parse_release) if folder and (folder / RELEASE).is_file() else None

    def gates(self, model_id: str) -> list[GateRow]:
        """Return the gate report of that model; empty where there is none."""
        return self._once("gates", model_id, _read_gates) or []

    def _once(self, file: str, model_id: str, how: Callable[[Path], _T]) -> _T | None:
        folder = self._folders.get(model_id)
        if folder is None:
            return None
        if (file, model_id) not in self._read:
            try:
                self._read[(file, model_id)] = how(folder)
            except (ModelError, OSError, msgspec.MsgspecError) as error:
                log().error(f"{file} refused", error_type=type(error).__name__)
                self._read[(file, model_id)] = None
        once: _T | None = self._read[(file, model_id)]
        return once


def evidence_of(rule_id: str) -> tuple[Evidence, ...]:
    """Return the documents behind a rule, as its table names them now; none for a rule that is gone."""
    version = all_rule_versions().get(rule_id)
    return tuple(version.rule.evidence) if version is not None else ()
