"""A model of three inputs that is a formula: what a gate says of it can be worked out by hand."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from models_onnx.artifact.manifest import ModelInput
from models_onnx.workbench.gates.subject import Answers, Evidence, Subject

Array = NDArray[np.float64]
NOTHING = Evidence(as_of=date(2026, 11, 20), timer=float)


def item(name: str, low: float, high: float, middle: float, unit: str = "a", **more: Any) -> ModelInput:
    """An input with this range and this reference value."""
    facts: dict[str, Any] = {"loinc": (), "fhir": "Observation", "clip_high": None, "group": None}
    return ModelInput(name=name, words=name, unit=unit, trained_low=low, trained_high=high, reference_value=middle,
                      **{**facts, **more})  # fmt: skip


INPUTS = (item("age", 20.0, 90.0, 55.0), item("sodium", 120.0, 160.0, 140.0), item("smoker", 0.0, 1.0, 0.25))
NO_BINS = SimpleNamespace(bins=())
WEIGHTS = (0.05, -0.1, 0.5)


def linear(rows: Array) -> Answers:
    """A logistic regression: a missing input counts as its reference value, which is 1 : e against the outcome."""
    gaps = np.nan_to_num(rows - np.array([item.reference_value for item in INPUTS]), nan=0.0)
    contributions = gaps * np.array(WEIGHTS)
    margin = contributions.sum(axis=1) - 1.0
    low, high = (np.array([getattr(item, end) for item in INPUTS]) for end in ("trained_low", "trained_high"))
    return Answers(
        probability=1.0 / (1.0 + np.exp(-margin)),
        margin=margin,
        contributions=contributions,
        missing=np.isnan(rows),
        out_of_range=(rows < low) | (rows > high),
        base=-1.0,
        link="logit",
    )


def subject(answers: Callable[[Array], Answers] = linear, **members: Any) -> Subject:
    """A candidate that answers so; further members replace or add to those of the formula."""
    facts: dict[str, Any] = {
        "features": INPUTS,
        "always": frozenset(),
        "answers": lambda rows: answers(np.asarray(rows, dtype=np.float64)),
        "groups": (),
        "metadata": {},
        "manifest": SimpleNamespace(version="1.2", missing_kind="average", reference=NO_BINS),
        "product": {},
    }
    return cast(Subject, SimpleNamespace(**{**facts, **members}))


def changed(**edits: Callable[[Array, Any], Any]) -> Callable[[Array], Answers]:
    """The formula's answers with members changed, by functions of the rows and of the member."""

    def answers(rows: Array) -> Answers:
        plain = linear(rows)
        return replace(plain, **{name: edit(rows, getattr(plain, name)) for name, edit in edits.items()})

    return answers
