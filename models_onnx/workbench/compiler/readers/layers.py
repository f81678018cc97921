"""Takes off what is around a model: searches, chosen thresholds, frozen estimators, pipelines in pipelines, votes.

None of these changes what is compiled: a search is its best estimator, a threshold changes no probability, and a vote
or a calibration at the end of a pipeline is one of pipelines.
"""

from dataclasses import dataclass
from typing import Any

_AROUND = {
    "FrozenEstimator": "estimator",
    "FixedThresholdClassifier": "estimator_",
    "TunedThresholdClassifierCV": "estimator_",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One of several models whose probabilities are averaged; `calibrator` is None where it is its own probability."""

    estimator: Any
    calibrator: Any = None
    weight: float = 1.0


def without_wrapping(model: Any) -> Any:
    """The model itself, with the steps of pipelines in pipelines in one."""
    if hasattr(model, "best_estimator_"):
        return without_wrapping(model.best_estimator_)
    inner = getattr(model, _AROUND.get(type(model).__name__, ""), None)
    if inner is not None:
        return without_wrapping(inner)
    if type(model).__name__ != "Pipeline":
        return model
    last = without_wrapping(model.steps[-1][1])
    return model if last is model.steps[-1][1] and type(last).__name__ != "Pipeline" else behind(model, last)


def behind(pipeline: Any, last: Any) -> Any:
    """The pipeline with another last step, whose own steps follow where it is a pipeline itself."""
    from sklearn.pipeline import Pipeline

    own = [step for _, step in last.steps] if type(last).__name__ == "Pipeline" else [last]
    steps = [*(step for _, step in pipeline.steps[:-1]), *own]
    return Pipeline([(f"step{number}", step) for number, step in enumerate(steps)])


def last_of(model: Any) -> Any:
    """The last step of a pipeline, any other model itself."""
    return model.steps[-1][1] if type(model).__name__ == "Pipeline" else model


def votes_of(model: Any) -> tuple[Part, ...]:
    """The models of a VotingClassifier with soft votes, with their weights; empty for any other object."""
    last = last_of(model)
    if type(last).__name__ != "VotingClassifier" or last.voting != "soft":
        return ()
    weights = last._weights_not_none or [1.0] * len(last.estimators_)
    parts = [own if last is model else behind(model, own) for own in last.estimators_]
    return tuple(Part(part, None, float(weight)) for part, weight in zip(parts, weights, strict=True))
