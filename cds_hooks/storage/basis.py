"""What a decision was based on, as it goes into the record: features with their evidence, silences, timings."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from cards.rules.finding import Silence
from fhir.mapping.feature import FeatureVector

_encoder = msgspec.json.Encoder()


def input_digest(body: bytes) -> str:
    """SHA-256 of the request's body, hexadecimal."""
    return hashlib.sha256(body).hexdigest()


def encode_models(models: Sequence[dict[str, str]]) -> bytes:
    """The models that were asked, as a JSON array of id, version and sha256."""
    return _encoder.encode(models)


def encode_basis(
    as_of: datetime,
    vector: FeatureVector | None,
    scores: dict[str, Any] | None,
    silences: Sequence[Silence],
    timings: dict[str, float],
) -> bytes:
    """JSON of everything that is needed to compute the decision again and to explain it."""
    basis: dict[str, Any] = {"as_of": as_of.isoformat(), "timings": timings}
    if vector is not None:
        # value, when, from which resource; name and unit stand in the model's feature dictionary
        basis["features"] = {
            found.feature.name: (found.value, found.effective, found.source)
            for found in vector.evidence
            if found is not None
        }
        basis["missing"] = {gap.feature.name: gap.reason for gap in vector.missing}
    if scores is not None:
        basis["scores"] = scores
    if silences:
        basis["silence"] = [(silence.subject, silence.reason, silence.text) for silence in silences]
    return _encoder.encode(basis)
