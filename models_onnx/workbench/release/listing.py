"""Which models are declared or in a folder, each version with the state of its artifact and of its release."""

from pathlib import Path

import msgspec
from msgspec import Struct

from models_onnx.artifact.folder import load_artifact
from models_onnx.artifact.keys import Keys
from models_onnx.artifact.release_file import RELEASE, GateSummary
from models_onnx.errors import ArtifactRefused
from models_onnx.serving.registry import ARTIFACTS, model_ids, version_ids
from models_onnx.spec import ModelSpec, find_specs
from models_onnx.workbench.release.publishing import DRAFT, verify_release

READY, NOT_TRAINED = "ready", "not trained"


class ListedModel(Struct, frozen=True, kw_only=True):
    """One version and the state of its artifact: `ready`, `not trained`, or why it is not served.

    `name` is that of its folder, by which commands and acts of release name it; `release` is draft or validated;
    `signed_by` names the key that signed it.
    """

    name: str
    version: str
    title: str
    state: str
    release: str = ""
    digest: str = ""
    signed_by: str = ""
    gates: GateSummary | None = None
    auroc: float | None = None

    @property
    def is_ready(self) -> bool:
        """Whether its files hold."""
        return self.state == READY


def list_models(keys: Keys, folder: Path = ARTIFACTS, specs: Path | None = None) -> tuple[ListedModel, ...]:
    """List every version in a folder with the state of its artifact; a broken one is named and not raised.

    The list of the package's folder also has the declared models that are not trained, and with `specs`, a folder of
    declarations of one's own, all that are declared there.
    """
    declared, trained = find_specs(specs), model_ids(folder)
    if folder != ARTIFACTS:
        shipped = find_specs() if specs is not None else declared
        declared = {name: spec for name, spec in declared.items() if name in trained or name not in shipped}
    names = [*declared, *(name for name in trained if name not in declared), *version_ids(folder)]
    return tuple(_listed(name, declared.get(name), folder / name, keys) for name in names)


def _listed(name: str, spec: ModelSpec | None, folder: Path, keys: Keys) -> ListedModel:
    version, title = (spec.version, spec.title) if spec is not None else ("?", name)
    if not folder.is_dir():
        return ListedModel(name=name, version=version, title=title, state=NOT_TRAINED)
    try:
        release = verify_release(folder, keys) if (folder / RELEASE).is_file() else None
        described = load_artifact(folder, keys).manifest
    except (ArtifactRefused, OSError, msgspec.DecodeError, UnicodeDecodeError) as problem:
        return ListedModel(name=name, version=version, title=title, state=str(problem))
    is_older = spec is not None and described.version != version
    return ListedModel(
        name=name,
        version=version if spec is not None else described.version,
        title=title if spec is not None else described.title,
        state=f"trained as {described.version}" if is_older else READY,
        release=release.state if release is not None else DRAFT,
        digest=release.digest if release is not None else "",
        signed_by=keys[release.key].name if release is not None else "",
        gates=release.gates if release is not None else None,
        auroc=float(described.evaluation["all"]["auroc"]["value"]),
    )
