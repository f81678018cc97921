"""The card and release of a model that is served here, and the card in the forms that machines read."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import orjson

from cds_hooks.logs import log
from cds_hooks.settings import Settings
from models_onnx.artifact import MODEL
from models_onnx.card.chai import chai_xml
from models_onnx.card.embed import card_of
from models_onnx.card.fhir import fhir_bundle
from models_onnx.errors import ModelError
from models_onnx.registry import ARTIFACTS, model_ids
from models_onnx.signing.release import Release, parse_release

_T = TypeVar("_T")


@cache
def card_of_model(model_id: str) -> dict[str, Any] | None:
    """The card inside the file of that model; None where there is none."""
    return _read(model_id, lambda: card_of((ARTIFACTS / model_id / MODEL).read_bytes()))


@cache
def release_of_model(model_id: str) -> Release | None:
    """The release of that model; None where it was never published."""
    return _read(model_id, lambda: parse_release(ARTIFACTS / model_id))


def card_as(model_id: str, form: str, configured: Settings) -> tuple[bytes, str] | None:
    """The card as `json`, `fhir.json` or `chai.xml`, with its media type; None for another model or form."""
    card, release = card_of_model(model_id), release_of_model(model_id)
    if card is None or release is None:
        return None
    now = configured.as_of or datetime.now(UTC)
    if form == "json":
        return orjson.dumps(card, option=orjson.OPT_INDENT_2), "application/json"
    if form == "fhir.json":
        sha256 = release.files[MODEL].sha256
        bundle = fhir_bundle(card, release.state, sha256, now.isoformat(timespec="seconds"), configured.public_url)
        return orjson.dumps(bundle, option=orjson.OPT_INDENT_2), "application/fhir+json"
    if form == "chai.xml":
        return chai_xml(card, release.state, now.date().isoformat()), "application/xml"
    return None


def _read(model_id: str, how: Callable[[], _T]) -> _T | None:
    if model_id not in model_ids():
        return None
    try:
        return how()
    except (ModelError, OSError) as error:
        log().error("card refused", error_type=type(error).__name__)
        return None
