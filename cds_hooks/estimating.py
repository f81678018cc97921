"""One estimate for a chart: by the model, or by its twin where too much is missing for the model."""

from dataclasses import dataclass
from typing import Any

from cds_hooks.predictor import Predict
from cds_hooks.trusted_models import held_back, is_in_shadow
from fhir.mapping.feature import FeatureVector
from models_onnx.eligibility import OUT_OF_RANGE, NotScored, may_be_scored, not_scored, twin_may_take_over
from models_onnx.manifest import Manifest
from models_onnx.runtime import Model, Prediction

NOT_RELEASED = "model-not-released"
"""The reason code of a model whose release state or gates allow no card (docs/models/gates.md)."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """Whose estimate it is, what it says, of which inputs; `refused` says why it must not be shown."""

    model: Model
    prediction: Prediction
    vector: FeatureVector
    refused: NotScored | None

    @property
    def manifest(self) -> Manifest:
        """Of the model that speaks."""
        return self.model.manifest

    @property
    def reference(self) -> dict[str, str]:
        """Which file it was, for the record."""
        manifest = self.manifest
        return {"id": manifest.id, "version": manifest.version, "sha256": manifest.file.sha256}

    @property
    def is_recorded(self) -> bool:
        """Whether the score goes on record: it is shown, or its model is in shadow and would have been."""
        return self.refused is None or (self.refused.reason == NOT_RELEASED and is_in_shadow(self.model))

    @property
    def scores(self) -> dict[str, Any]:
        """What it said, for the record."""
        said = self.prediction
        return {
            **self.reference,
            "probability": said.probability,
            "margin": said.margin,
            "base": said.base,
            "contributions": dict(zip(self.model.features, said.contributions.tolist(), strict=True)),
            "percentile": said.percentile,
            "observed_rate": said.observed_rate,
            "observed_low": said.observed_low,
            "observed_high": said.observed_high,
            "observed_count": said.observed_count,
        }


async def estimate(predict: Predict, vector: FeatureVector, model: Model, twin: Model) -> Estimated:
    """The model's estimate; the twin's where the model is refused for what is missing and the twin is not.

    Where neither may speak, `refused` is the model's own reason. `vector` has the model's features, the twin's among
    them.
    """
    own = await _by(predict, vector, model)
    if not twin_may_take_over(model.manifest, own.refused):
        return own
    other = await _by(predict, vector.only(twin.features), twin)
    return own if other.refused is not None else other


def _out_of_all_range(model: Model, vector: FeatureVector) -> NotScored | None:
    """A value that nobody can have says that something is wrong with the chart: it does not count as missing."""
    strange = [gap for gap in vector.missing if gap.implausible and gap.feature.name in model.features]
    if not strange:
        return None
    named = " ".join(gap.text for gap in strange)
    text = f"{model.manifest.title}: no score, outside the range the model was built on. {named}"
    return NotScored(OUT_OF_RANGE, text, tuple(gap.feature.name for gap in strange))


async def _by(predict: Predict, vector: FeatureVector, model: Model) -> Estimated:
    prediction = await predict(model, vector.values)
    refused = None if may_be_scored(model.manifest, prediction) else not_scored(model.manifest, vector.values)
    if refused is None:
        refused = _out_of_all_range(model, vector)
    if refused is None and (held := held_back(model)) is not None:
        refused = NotScored(NOT_RELEASED, held)
    return Estimated(model, prediction, vector, refused)
