"""One estimate by a model for advisors, with a model for fewer values where the first one lacks its inputs."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace
from numpy.typing import NDArray

from cds_hooks.call.services._exclusions import Exclusion, first_reason
from cds_hooks.call.trusted_models import AbsentModel
from cds_hooks.settings import Settings
from fhir.mapping.features.feature import FeatureVector
from fhir.record.record import PatientRecord
from fhir.record.refusals import Refusal, WhyNot
from models_onnx.artifact.manifest import AgeBandThreshold, Manifest
from models_onnx.serving.eligibility import (
    OUT_OF_RANGE,
    lacks_inputs,
    may_be_scored,
    not_scored,
    twin_may_take_over,
)
from models_onnx.serving.runtime import Model, Prediction

Predict: TypeAlias = Callable[[Model, NDArray[np.float64]], Prediction]


class SiteThresholds(Struct, frozen=True):
    """What a site sets of how high an estimate has to be for a card.

    `share` (0 to 1) is the share of the reference cohort with a card, of all models, `shares` that of single models by
    id. `within_age_band`: models that have thresholds by age are held to those of the patient's age, except where a
    service, or `shares` for the model, says another share.
    """

    share: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    within_age_band: bool = False


OF_MODEL = SiteThresholds()
"""Nothing is set: each model has the threshold for which it was made and tested."""


def site_thresholds(configured: Settings) -> SiteThresholds:
    """Return what these settings say of thresholds."""
    return SiteThresholds(configured.share_of_all_models, configured.shares_by_model, configured.within_age_band)


class ChartModel(Struct, frozen=True):
    """How a model is asked about a chart, apart from a call: whom it is not for, and its inputs.

    `exclusions` say who gets no estimate; `inputs` has the model's features, those of its twin among them.
    """

    model: Model
    twin: Model
    exclusions: tuple[Exclusion, ...]
    inputs: Callable[[PatientRecord], FeatureVector]
    share: float | None = None
    """The share of the reference cohort for which its service shows a card; None where it is not the service's."""
    within_age_band: bool | None = None
    """Whether a card is shown for the highest of the people of the same age instead: by the model's own thresholds.

    None where the service does not say it, and the site decides.
    """

    def outside(self, record: PatientRecord) -> WhyNot | None:
        """Return why this patient gets no estimate; None where the model is for the patient."""
        return first_reason(self.exclusions, self.model.manifest.id, record)

    def is_due(
        self, model: Model, scores: Mapping[str, Any], age: float | None, site: SiteThresholds = OF_MODEL
    ) -> bool:
        """Whether the estimate (`margin` and `percentile` of the scores) is high enough for a card at this age."""
        band = self.band_of(model.manifest, age, site)
        if band is not None:
            return bool(scores["margin"] >= band.margin)
        return bool(scores["percentile"] >= 100 * (1 - self.share_for(model.manifest, site)))

    def band_of(
        self, manifest: Manifest, age: float | None, site: SiteThresholds = OF_MODEL
    ) -> AgeBandThreshold | None:
        """Return the threshold of the people of this age; None where estimates are not compared within ages here."""
        if age is None or not self.compares_within_ages(manifest, site):
            return None
        return manifest.thresholds.band_at(age)

    def compares_within_ages(self, manifest: Manifest, site: SiteThresholds = OF_MODEL) -> bool:
        """Whether the thresholds by age of the model with this manifest are in force; False where it has none."""
        if not manifest.thresholds.age_bands:
            return False
        if self.within_age_band is not None:
            return self.within_age_band
        return site.within_age_band and not self.share and self._named_in(manifest, site) is None

    def share_for(self, manifest: Manifest, site: SiteThresholds = OF_MODEL) -> float:
        """Return the share (0 to 1) of the reference cohort of the model with this manifest for which a card is shown.

        It is the service's own; else the one that the site sets for the model, and with it for its twin; else that
        which the site sets for all models; else that for which the model was made and tested (`thresholds.capacity`).
        """
        return self.share or self._named_in(manifest, site) or site.share or manifest.thresholds.capacity

    def _named_in(self, manifest: Manifest, site: SiteThresholds) -> float | None:
        if not site.shares:
            return None
        return site.shares.get(manifest.id) or site.shares.get(self.model.manifest.id)

    @property
    def loaded(self) -> tuple[Model, ...]:
        """The model and its twin, as far as their files can be served."""
        return tuple(dict.fromkeys(model for model in (self.model, self.twin) if not isinstance(model, AbsentModel)))


WhyWithheld: TypeAlias = Callable[[Model], str | None]
"""Says why a model shows no cards at a site; None where it does."""

NOT_RELEASED = "model-not-released"
"""The reason code of a model whose release state or gates allow no card (docs/models/gates.md)."""


class ModelEstimate(Struct, frozen=True):
    """Whose estimate it is, what it says, of which inputs; `refused` says why it must not be shown.

    `computed` is None where the model did not run, because too many of its inputs are missing.
    """

    model: Model
    computed: Prediction | None
    vector: FeatureVector
    refused: WhyNot | None

    @property
    def prediction(self) -> Prediction:
        """What the model computed; ValueError where it did not run, which `refused` says."""
        if self.computed is None:
            raise ValueError("the model did not run for this estimate")
        return self.computed

    @property
    def manifest(self) -> Manifest:
        """The manifest of the model that made the estimate."""
        return self.model.manifest


def reference_of(model: Model) -> dict[str, str]:
    """Id, version and digest of a model's file, for the decision record."""
    manifest = model.manifest
    return {"id": manifest.id, "version": manifest.version, "sha256": manifest.file.sha256}


def scores_of(model: Model, computed: Prediction) -> dict[str, Any]:
    """Return what a model computed, for the decision record."""
    return {
        **reference_of(model),
        "probability": computed.probability,
        "margin": computed.margin,
        "base": computed.base,
        "contributions": dict(zip(model.features, computed.contributions.tolist(), strict=True)),
        "percentile": computed.percentile,
        "observed_rate": computed.observed_rate,
        "observed_low": computed.observed_low,
        "observed_high": computed.observed_high,
        "observed_count": computed.observed_count,
    }


def each_once(predict: Predict) -> Predict:
    """Return the same that runs a model once for the same values: several advisors ask for the outlook."""
    made: dict[tuple[int, bytes], Prediction] = {}

    def predict_once(model: Model, values: NDArray[np.float64]) -> Prediction:
        key = id(model), values.tobytes()
        if key not in made:
            made[key] = predict(model, values)
        return made[key]

    return predict_once


def age_in(vector: FeatureVector) -> float | None:
    """Return the age among the inputs of a model, as the decision record has it too; None if it is not among them."""
    ages = (value for value in vector.evidence if value is not None and value.feature.name == "age_years")
    return next((value.value for value in ages), None)


def estimate(
    predict: Predict, vector: FeatureVector, model: Model, twin: Model, why_withheld: WhyWithheld
) -> ModelEstimate:
    """Return the model's estimate; the twin's where the model is refused for what is missing and the twin is not.

    Where neither may be shown, `refused` is the model's own reason. `vector` has the model's features, the twin's among
    them. `why_withheld` says why a model shows no cards at this site.
    """
    estimate_of_model = _by(predict, vector, model, why_withheld)
    if not twin_may_take_over(model.manifest, estimate_of_model.refused):
        return estimate_of_model
    if isinstance(twin, AbsentModel):
        return _without_twin(estimate_of_model)
    estimate_of_twin = _by(predict, vector.only(twin.features), twin, why_withheld)
    return estimate_of_model if estimate_of_twin.refused is not None else estimate_of_twin


def _without_twin(refused_estimate: ModelEstimate) -> ModelEstimate:
    """Return the refused estimate, which also says that the model for fewer values could not be asked."""
    assert refused_estimate.refused is not None  # noqa: S101 - the twin is asked only then
    text = f"{refused_estimate.refused.text} The model for fewer values cannot be served here."
    return replace(refused_estimate, refused=replace(refused_estimate.refused, text=text))


def _out_of_all_range(model: Model, vector: FeatureVector) -> WhyNot | None:
    """Return a value that nobody can have says that something is wrong with the chart: it does not count as missing."""
    strange = [gap for gap in vector.missing if gap.implausible and gap.feature.name in model.features]
    if not strange:
        return None
    texts = " ".join(gap.text for gap in strange)
    text = f"{model.manifest.title}: no score, outside the range the model was built on. {texts}"
    return WhyNot(model.manifest.id, OUT_OF_RANGE, text, tuple(gap.feature.name for gap in strange))


def _by(predict: Predict, vector: FeatureVector, model: Model, why_withheld: WhyWithheld) -> ModelEstimate:
    refused = lacks_inputs(model.manifest, vector.values)
    if refused is not None:
        return ModelEstimate(model, None, vector, refused)
    prediction = predict(model, vector.values)
    refused = None if may_be_scored(model.manifest, prediction) else not_scored(model.manifest, vector.values)
    if refused is None:
        refused = _out_of_all_range(model, vector)
    if refused is None and (reason := why_withheld(model)) is not None:
        refused = WhyNot(model.manifest.id, NOT_RELEASED, reason)
    return ModelEstimate(model, prediction, vector, refused)


def refused_results(record: PatientRecord, vector: FeatureVector) -> list[Refusal]:
    """Return the results for these inputs that could not be used, of which a card tells."""
    analytes = dict.fromkeys(analyte for feature in vector.features for analyte in feature.analytes)
    return [refusal for analyte in analytes for refusal in record.lookup(analyte).refused]
