"""How well a model does on people it was not trained on, from its manifest: ranking, counting, group by group."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cds_hooks.web.inputs import words_of
from models_onnx.manifest import Manifest

LEAST_EVENTS = 50
"""Fewer events than this give no figure of what happened against what was foretold (responsible-ai.md 5.2)."""

_AGES = re.compile(r"(?P<low>\d\d)(?:-(?P<high>\d\d)| and over)")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Tested:
    """How the estimates held among these people; None where there was not enough data.

    `ranking` is the AUROC, `happened` what happened for each one foretold, `slope` the calibration slope.
    """

    people: int
    events: int
    ranking: Estimate | None
    happened: Estimate | None
    slope: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One group of people it was tested in, over all years and in those it was last set to."""

    axis: str
    name: str
    every: Tested
    latest: Tested


@dataclass(frozen=True, slots=True)
class Panel:
    """How the estimates hold when some inputs are left out of everyone's record."""

    words: str
    ranking: Estimate | None
    happened: Estimate | None


@dataclass(frozen=True, slots=True)
class Performance:
    """The whole evaluation; `simple` is the ranking by a few inputs alone, which the model has to beat."""

    how: str
    every: Tested
    latest: Tested
    simple: Estimate | None
    groups: tuple[Group, ...]
    panels: tuple[Panel, ...]

    def groups_of(self, age: float | None, sex: str) -> list[Group]:
        """The groups of age and sex that a person belongs to."""
        return [group for group in self.groups if group.name == sex or (age is not None and _holds(group.name, age))]


def outcome_short(manifest: Manifest) -> str:
    """The outcome without what is said after its first comma: "died within 5 years"."""
    return manifest.outcome.words.partition(",")[0]


def simple_inputs(manifest: Manifest) -> str:
    """The few inputs that the model has to beat, in words."""
    names: list[str] = manifest.evaluation["simple"]["inputs"]
    return " and ".join(words_of(manifest.feature(name)).lower() for name in names)


def happened(manifest: Manifest) -> str:
    """The outcome in one word, for the legend of a drawing."""
    return "died" if _is_death(manifest) else "did"


def otherwise(manifest: Manifest) -> str:
    """Its opposite in as few words."""
    return "lived" if _is_death(manifest) else "did not"


def _is_death(manifest: Manifest) -> bool:
    return manifest.outcome.words.startswith("died")


def performance(manifest: Manifest) -> Performance:
    """What the manifest's evaluation says."""
    evaluation = manifest.evaluation
    return Performance(
        how=evaluation["how"],
        every=_tested(evaluation["all"]),
        latest=_tested(evaluation["latest"]),
        simple=_estimate(evaluation["simple"].get("auroc")),
        groups=tuple(
            Group(block["axis"], block["group"], _tested(block), _tested(block.get("latest", {})))
            for block in evaluation["subgroups"]
        ),
        panels=tuple(
            Panel(block["words"], _estimate(block["auroc"]), _estimate(block["observed_expected"]))
            for block in evaluation["panels"]
        ),
    )


_FIGURES = ("auroc", "observed_expected", "calibration_slope")


def _tested(block: Mapping[str, Any]) -> Tested:
    events = block.get("events", 0)
    enough = block.get("sufficient", events >= LEAST_EVENTS)
    figures = {name: _estimate(block.get(name)) if enough else None for name in _FIGURES}
    return Tested(block.get("n", 0), events, *figures.values())


def _estimate(figure: Mapping[str, float | None] | None) -> Estimate | None:
    value, low, high = (figure.get(name) for name in ("value", "low", "high")) if figure else (None, None, None)
    return None if value is None or low is None or high is None else Estimate(value, low, high)


def _holds(name: str, age: float) -> bool:
    match = _AGES.fullmatch(name)
    return match is not None and int(match["low"]) <= age and (match["high"] is None or age < int(match["high"]) + 1)
