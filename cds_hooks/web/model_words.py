"""What a model predicts and reads, in the words of its pages."""

from fhir.mapping.features.catalog import FEATURES
from models_onnx.artifact.manifest import Manifest, ModelInput

LEAST_EVENTS = 50
"""Fewer events than this give no figure of what happened against what was expected (responsible-ai.md 5.2)."""


def words_of(feature: ModelInput) -> str:
    """Return what a clinician calls it: the words of our own feature, or the model's if there is none."""
    return FEATURES[feature.name].words if feature.name in FEATURES else feature.words


def outcome_short(manifest: Manifest) -> str:
    """Return the outcome without what is said after its first comma: "died within 5 years"."""
    return manifest.outcome.words.partition(",")[0]


def simple_inputs(manifest: Manifest) -> str:
    """Return the few inputs that the model has to beat, in words."""
    names: list[str] = manifest.evaluation["simple"]["inputs"]
    return " and ".join(words_of(manifest.feature(name)).lower() for name in names)


def happened(manifest: Manifest) -> str:
    """Return the outcome in one word, for the legend of a drawing."""
    return "died" if _is_death(manifest) else "did"


def otherwise(manifest: Manifest) -> str:
    """Return its opposite in as few words."""
    return "lived" if _is_death(manifest) else "did not"


def _is_death(manifest: Manifest) -> bool:
    return manifest.outcome.words.startswith("died")
