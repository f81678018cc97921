"""Whose models this site trusts, and which of them may show cards."""

from pathlib import Path

from cds_hooks.settings import settings
from models_onnx.runtime import Model
from models_onnx.signing.keys import Keys, public_file, trust_also, trusted
from models_onnx.signing.states import why_no_cards

SIGNING_KEY = Path("var") / "model-signing-key.pem"
"""Where whoever trains models has the key that signs them, unless CDS_MODEL_SIGNING_KEY names another file."""

SHADOW = "shadow"


def signing_key() -> Path:
    """The file of the private key that signs what is trained here."""
    return settings().model_signing_key or SIGNING_KEY


def own_keys() -> Keys:
    """The maintainers' keys, those of CDS_MODEL_KEYS, and for whoever trains here their own.

    What one signed oneself one may look at and test; a server asks `trust_site_keys` instead.
    """
    own = public_file(signing_key())
    return trusted(*_named(), *([own] if own.is_file() else []))


def trust_site_keys() -> None:
    """From now on models signed by the keys of CDS_MODEL_KEYS are loaded, too."""
    trust_also(trusted(*_named()))


def held_back(model: Model) -> str | None:
    """Why this model shows no cards at this site, in one sentence; None where it does.

    Its release must be in a state of CDS_MODEL_STATE or beyond, with every gate green or waived.
    """
    release = model.artifact.release
    if release is None:
        return f"{model.manifest.id} {model.manifest.version} is a draft that nobody signed"
    return why_no_cards(release, settings().model_state)


def is_in_shadow(model: Model) -> bool:
    """Whether it is scored and recorded, but never shown."""
    release = model.artifact.release
    return release is not None and release.state == SHADOW


def _named() -> list[Path]:
    named = settings().model_keys
    return [] if named is None else [named]
