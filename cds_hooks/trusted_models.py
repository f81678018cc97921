"""Whose models this site trusts, and the models its services may load."""

from functools import cache
from pathlib import Path

from cds_hooks.settings import settings
from models_onnx.registry import model_for_cards
from models_onnx.runtime import Model
from models_onnx.signing.keys import Keys, public_file, trusted

SIGNING_KEY = Path("var") / "model-signing-key.pem"
"""Where whoever trains models has the key that signs them, unless CDS_MODEL_SIGNING_KEY names another file."""


@cache
def trusted_keys() -> Keys:
    """The maintainers' keys and those of the file CDS_MODEL_KEYS."""
    named = settings().model_keys
    return trusted(*([named] if named is not None else []))


def own_keys() -> Keys:
    """The same and, for whoever trains here, their own: what one signed oneself one may also look at and test."""
    own = public_file(signing_key())
    named = settings().model_keys
    return trusted(*[path for path in (named, own if own.is_file() else None) if path is not None])


def signing_key() -> Path:
    """The file of the private key that signs what is trained here."""
    return settings().model_signing_key or SIGNING_KEY


def served_model(name: str) -> Model:
    """The model of that id for a service: signed by a trusted key, gates green, in a state that shows cards.

    NotReleased or another ArtifactRefused says why it is not served.
    """
    return model_for_cards(name, settings().model_state, keys=trusted_keys())
