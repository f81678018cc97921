"""What a decision was based on, as it goes into the record: inputs with their evidence, scores, silences, timings."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from cards.rules.finding import Silence
from fhir.mapping.feature import FeatureVector

_encoder = msgspec.json.Encoder()


def inputs_of(as_of: datetime, vector: FeatureVector | None, orders: dict[str, Any] | None) -> dict[str, Any]:
    """Everything a decision is computed from: the clock, the features with their evidence, the drafted orders.

    A feature is value, time and resource; its words and unit stand in the model's feature dictionary.
    """
    inputs: dict[str, Any] = {"as_of": as_of.isoformat()}
    if vector is not None:
        inputs["features"] = {
            found.feature.name: (found.value, found.effective, found.source)
            for found in vector.evidence
            if found is not None
        }
        inputs["missing"] = {gap.feature.name: gap.reason for gap in vector.missing}
    if orders is not None:
        inputs["orders"] = orders
    return inputs


def digest(inputs: dict[str, Any]) -> str:
    """SHA-256 of the inputs, hexadecimal: equal inputs, equal decision. Most of the body is not read, nor hashed."""
    return hashlib.sha256(_encoder.encode(inputs)).hexdigest()


def encode_models(models: Sequence[dict[str, str]]) -> bytes:
    """The models that were asked, as a JSON array of id, version and sha256."""
    return _encoder.encode(models)


def encode_basis(
    inputs: dict[str, Any],
    scores: dict[str, Any] | None,
    silences: Sequence[Silence],
    timings: dict[str, float],
    prefetch: msgspec.Raw | None = None,
) -> bytes:
    """JSON of everything that is needed to compute the decision again and to explain it.

    `prefetch` is JSON already: the state of each key of the prefetch.
    """
    basis = {**inputs, "timings": timings}
    if prefetch is not None:
        basis["prefetch"] = prefetch
    if scores is not None:
        basis["scores"] = scores
    if silences:
        basis["silence"] = [(silence.subject, silence.reason, silence.text) for silence in silences]
    return _encoder.encode(basis)
