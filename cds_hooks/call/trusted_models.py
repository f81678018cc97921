"""Whose models this site trusts, and which of them may show cards."""

from pathlib import Path
from typing import NoReturn

from cds_hooks.errors import ModelNotServed
from cds_hooks.settings import Settings
from models_onnx.artifact.keys import Keys, add_trusted_keys, public_file, trusted_keys
from models_onnx.artifact.release_file import reason_cards_withheld
from models_onnx.errors import ArtifactRefused, UnknownModel
from models_onnx.serving.registry import ARTIFACTS, load_model, model_ids
from models_onnx.serving.runtime import Model

SIGNING_KEY = Path("var") / "model-signing-key.pem"
"""Where whoever trains models has the private key that signs them, in the folder in which the commands run."""


def own_keys(configured: Settings) -> Keys:
    """Return the maintainers' keys, those of CDS_MODEL_KEYS, and the own key of whoever trains models here.

    The own key is enough to look at a model and to test it. A server asks `trust_site_keys` instead.
    """
    file = public_file(SIGNING_KEY)
    return trusted_keys(*_key_files(configured.model_keys), *([file] if file.is_file() else []))


def trust_site_keys(model_keys: Path | None) -> None:
    """From now on models signed by the keys of this file (CDS_MODEL_KEYS) are loaded, too."""
    add_trusted_keys(trusted_keys(*_key_files(model_keys)))


class AbsentModel(Model):
    """Stands in for a model whose files cannot be served, so that other services go on.

    It has the features that the model declares. Everything else that is asked of it raises ModelNotServed.
    """

    def __init__(self, name: str, fault: Exception, features: tuple[str, ...]) -> None:
        self.name = name
        self.kind = type(fault).__name__
        self.reason = str(fault)
        self.features = features

    def __getattr__(self, _name: str) -> NoReturn:
        self.refuse()

    def refuse(self) -> NoReturn:
        """Raise ModelNotServed with the reason."""
        raise ModelNotServed(
            f"The model {self.name} cannot be served, so nothing was looked at and no advice is given: {self.reason}."
        )


def served_model(name: str) -> Model:
    """Return the model of the package with this id; an `AbsentModel` where its files must not be served.

    Raises:
        UnknownModel: No model of this id is declared.
    """
    try:
        return load_model(name)
    except (ArtifactRefused, UnknownModel, OSError) as fault:
        from models_onnx.spec import get_spec  # a model that can be served says its features itself

        return AbsentModel(name, fault, get_spec(name).feature_names)


def site_model(name: str, folder: Path) -> Model:
    """Return the model with this id in a folder of the site's own, else that of the package.

    An `AbsentModel` where its files must not be served.

    Raises:
        UnknownModel: Neither has a model of this id, or both have.
    """
    site_models, shipped = model_ids(folder) if folder != ARTIFACTS else (), model_ids()
    if name in site_models and name in shipped:
        raise UnknownModel(f"{name} is also the name of a model of this package: give yours another id")
    if name in shipped:
        return served_model(name)
    if name not in site_models:
        raise UnknownModel(f"there is no model {name!r}; there are {', '.join(sorted({*site_models, *shipped}))}")
    try:
        return load_model(name, folder)
    except (ArtifactRefused, OSError) as fault:
        return AbsentModel(name, fault, ())


def folder_of(name: str, configured: Settings) -> Path:
    """Return where the model of this id or `id@version` lies: in the folder of the site's own, or in the package."""
    site_folder, model_id = configured.models_folder, name.partition("@")[0]
    return (
        site_folder
        if site_folder is not None and model_id in model_ids(site_folder) and model_id not in model_ids()
        else ARTIFACTS
    )


def why_withheld(model: Model) -> str | None:
    """Return why this model shows no cards by its release, in one sentence; None where no gate is red."""
    release = model.artifact.release
    if release is None:
        return f"{model.manifest.id} {model.manifest.version} is a draft that nobody signed"
    return reason_cards_withheld(release)


def _key_files(model_keys: Path | None) -> list[Path]:
    return [] if model_keys is None else [model_keys]
