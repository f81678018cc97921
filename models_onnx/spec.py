"""What one model declares: outcome, cohort, inputs, estimator, calibration, thresholds, words.

One module in `models_onnx/models/` with one `SPEC` is one model; nothing else has to be told about it.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir.mapping.features import FEATURES
from models_onnx import models
from models_onnx.errors import SpecRefused, UnknownModel

# Of every training that is not told otherwise: parity rows and bootstrap samples.
SEED = 20260101
REPLICATES = 1000

# A column of a training table; pandas is named only in models_onnx.training, so that serving never needs it.
Column = Any
ColumnOf = Callable[[Any], Column]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is predicted: the table's 0/1 column, the horizon, and the words a card uses."""

    column: str
    words: str
    horizon_years: float


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One step of the cohort: `leaves_out` marks the rows that go; counted in the order declared."""

    reason: str
    words: str
    leaves_out: ColumnOf


@dataclass(frozen=True, slots=True)
class Input:
    """One input by its feature name; everything else about it stands in `fhir.mapping.features`.

    `clip_high`: a higher value is scored as this one (the study stops there) and is not out of range.
    """

    name: str
    clip_high: float | None = None

    def described(self) -> dict[str, Any]:
        """Name, words, unit, LOINC codes and FHIR element, as the manifest's feature dictionary has them."""
        feature = FEATURES[self.name]
        return {
            "name": self.name,
            "words": feature.words,
            "unit": feature.unit,
            "loinc": list(feature.codes) if feature.measured else [],
            "fhir": "Observation.value" if feature.measured else feature.codes[0],
        }


@dataclass(frozen=True, slots=True)
class RequiredGroup:
    """At least so many of these inputs must be there, or there is no score."""

    name: str
    words: str
    members: tuple[str, ...]
    at_least: int


@dataclass(frozen=True, slots=True)
class Population:
    """Who may be scored, in words and as far as the record can be asked."""

    words: str
    age_low: int
    exclude_conditions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AdditiveLogistic:
    """Logistic regression on piecewise-linear inputs: `knots` at quantiles of each, L2 penalty `C` of scikit-learn."""

    knots: int
    C: float


@dataclass(frozen=True, slots=True)
class Recalibration:
    """Intercept and slope re-estimated, out of fold, on the rows of the latest period: the reference cohort."""

    column: str
    since: float
    words: str


@dataclass(frozen=True, slots=True)
class Floors:
    """What the evaluation on patients not trained on must reach."""

    auroc: float
    slope: tuple[float, float]
    observed_expected: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Everything that is decided about a model before any data is read."""

    id: str
    version: str
    title: str
    outcome: Outcome
    intended_use: str
    users: str
    decision_role: str
    not_for: tuple[str, ...]
    cautions: tuple[str, ...]
    population: Population
    table: str
    period: str
    cohort_words: str
    exclusions: tuple[Exclusion, ...]
    inputs: tuple[Input, ...]
    derived: Mapping[str, ColumnOf]
    always_required: tuple[str, ...]
    required_groups: tuple[RequiredGroup, ...]
    estimator: AdditiveLogistic
    recalibration: Recalibration
    reference_words: str
    capacity: float
    capacities: tuple[float, ...]
    simple_inputs: tuple[str, ...]
    floors: Floors
    subgroups: Mapping[str, ColumnOf]
    panels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patient_column: str = "participant_id"
    fold_column: str = "fold"

    def __post_init__(self) -> None:
        known = set(self.feature_names)
        if strange := sorted(known - set(FEATURES)):
            raise SpecRefused(f"{self.id}: {', '.join(strange)} is not declared in fhir/mapping/features.py")
        if len(known) != len(self.inputs):
            raise SpecRefused(f"{self.id}: an input is declared twice")
        groups = {member for group in self.required_groups for member in group.members}
        named = {
            *self.always_required,
            *self.simple_inputs,
            *groups,
            *(n for panel in self.panels.values() for n in panel),
        }
        if unknown := sorted(named - known):
            raise SpecRefused(f"{self.id}: {', '.join(unknown)} is named but is not an input")
        if self.capacity not in self.capacities:
            raise SpecRefused(f"{self.id}: capacity {self.capacity} is not one of its capacities {self.capacities}")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The inputs by name, in the order of the model's vector."""
        return tuple(item.name for item in self.inputs)


def find_specs() -> dict[str, ModelSpec]:
    """Every model declared in `models_onnx/models/`, by id; refuses a module without a SPEC or of another name."""
    found: dict[str, ModelSpec] = {}
    for module in pkgutil.iter_modules(models.__path__):
        spec = getattr(importlib.import_module(f"{models.__name__}.{module.name}"), "SPEC", None)
        if not isinstance(spec, ModelSpec):
            raise SpecRefused(f"models_onnx/models/{module.name}.py declares no SPEC")
        if spec.id != module.name:
            raise SpecRefused(
                f"models_onnx/models/{module.name}.py declares {spec.id!r}; name the file after the model"
            )
        found[spec.id] = spec
    return found


def get_spec(name: str) -> ModelSpec:
    """The specification of that id; UnknownModel otherwise."""
    specs = find_specs()
    if name not in specs:
        raise UnknownModel(f"no model is called {name!r}; there are: {', '.join(sorted(specs))}")
    return specs[name]
