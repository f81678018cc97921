"""Versions of a model beside the one in use: tried in shadow, then with some of the patients, then with all of them.

A folder of models has the version in use as `<id>` and others as `<id>@<version>` (docs/models/registry.md). Each that
is signed, and takes the inputs of the one in use for the same people, is loaded at the start. It does nothing until an
act of release names it (docs/operations/release.md). Which one answers is chosen anew for each call, from the acts that
count at its beginning.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from cds_hooks.call.hold_back.released import CANARY, Key, Released, State, in_canary
from cds_hooks.call.trusted_models import AbsentModel
from cds_hooks.telemetry.logs import log
from models_onnx.artifact.folder import VERSION_SIGN, load_artifact
from models_onnx.errors import ArtifactRefused
from models_onnx.serving.registry import ARTIFACTS, Version, versions
from models_onnx.serving.runtime import Model


class ModelVersion(Struct, frozen=True):
    """A version that is not in use; `name` is that of its folder, by which acts of release name it."""

    name: str
    model: Model

    @property
    def sha256(self) -> str:
        """The digest of the model's file, which an act of release has as the version."""
        return self.model.manifest.file.sha256


class Chosen(NamedTuple):
    """Which version answers a call, and which are computed beside it, recorded and not shown."""

    model: Model
    beside: tuple[Model, ...] = ()


Choose: TypeAlias = Callable[[Model], Chosen]


def in_use(model: Model) -> Chosen:
    """Return the model in use alone, where no other version is tried."""
    return Chosen(model)


class ModelVersions:
    """The versions beside the models in use of one server."""

    def __init__(self, beside: Mapping[Model, tuple[ModelVersion, ...]]) -> None:
        self._beside = beside

    @property
    def served(self) -> dict[Key, str]:
        """The digest of each version, as an act of release names it."""
        return {("model", version.name): version.sha256 for version in self.all}

    @property
    def all(self) -> tuple[ModelVersion, ...]:
        """Every version that is not in use."""
        return tuple(version for versions_of_model in self._beside.values() for version in versions_of_model)

    def chooser(
        self, released: Released, client: str, patient: str, why_withheld: Callable[[Model], str | None]
    ) -> Choose:
        """Return what chooses among the versions of a model for a call of this client about this patient."""
        if not self._beside or not released.states:
            return in_use
        return lambda model: self._choose(model, released, client, patient, why_withheld)

    def _choose(
        self, model: Model, released: Released, client: str, patient: str, why_withheld: Callable[[Model], str | None]
    ) -> Chosen:
        answers, compared, beside = model, True, []
        for version in self._beside.get(model, ()):
            state = released.states.get(("model", version.name))
            if state is None or state.state in ("off", "retired"):
                continue
            if answers is model and _answers(version, state, client, patient) and why_withheld(version.model) is None:
                answers, compared = version.model, state.state == CANARY
            else:
                beside.append(version.model)
        if answers is not model and compared:
            beside.append(model)
        return Chosen(answers, tuple(beside))


def _answers(version: ModelVersion, state: State, client: str, patient: str) -> bool:
    """Return whether the acts let this version answer this patient; another file of the same name does not count."""
    if state.version != version.sha256:
        return False
    return state.state == "active" or (state.state == CANARY and in_canary(state, client, patient))


def find_model_versions(models: Iterable[Model], folder: Path | None) -> ModelVersions:
    """Return the versions beside these models, in `own` (the site's folder) or in the package; the newest first.

    One that cannot be served, or that is another model, is left out, and the log says so.
    """
    folders = (ARTIFACTS, *([folder] if folder is not None else []))
    loaded = dict.fromkeys(model for model in models if not isinstance(model, AbsentModel))
    beside = {model: tuple(_beside(model, folders)) for model in loaded}
    return ModelVersions({model: versions_of_model for model, versions_of_model in beside.items() if versions_of_model})


def _beside(model: Model, folders: Iterable[Path]) -> Iterator[ModelVersion]:
    for version in chain.from_iterable(versions(model.manifest.id, folder) for folder in folders):
        if VERSION_SIGN not in version.folder.name:
            continue
        try:
            candidate = Model(load_artifact(version.folder, signed=True))
        except (ArtifactRefused, OSError) as fault:
            _say_left_out(version, type(fault).__name__)
            continue
        if (why := why_not_comparable(model, candidate)) is None:
            yield ModelVersion(version.folder.name, candidate)
        else:
            _say_left_out(version, why)


def _say_left_out(version: Version, reason: str) -> None:
    log().warning("version of a model left out", models=version.id, version=version.version, reason=reason)


def why_not_comparable(model: Model, candidate: Model) -> str | None:
    """Return why a service that asks the one cannot ask the other in its place; None where it can."""
    ours, theirs = model.manifest, candidate.manifest
    if ours.id != theirs.id:
        return "another model"
    if model.features != candidate.features:
        return "other inputs"
    if ours.population != theirs.population:
        return "other population"
    if ours.outcome != theirs.outcome:
        return "other outcome"
    return None if ours.twin == theirs.twin else "another model for fewer values"
