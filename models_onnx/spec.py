"""What one model declares: outcome, cohort, inputs, estimator, calibration, thresholds, words.

One module in `models_onnx/models/` with one `SPEC` is one model; nothing else has to be told about it. A module may
also declare its `TWIN`: the model that takes over where too much is missing for the first. Declarations outside the
package are found in the folder that the commands are given with `--specs`.

The families of models that can be declared, simplest first (`training/fitting/families.py` fits them):

AdditiveLogistic   broken lines, logistic                  logit      exact contributions
AdditiveCox        broken lines, proportional hazards      cloglog    exact contributions, several horizons
AdditiveTrees      boosted step functions, one per input   logit      exact contributions
ShallowTrees       boosted trees to depth 4                logit      exact Shapley values
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from fhir.mapping.features.catalog import FEATURES
from models_onnx.discovery import declarations
from models_onnx.errors import DeclarationError, UnknownModel


@dataclass(frozen=True, slots=True)
class AdditiveLogistic:
    """Logistic regression on piecewise-linear inputs: `knots` at quantiles of each, L2 penalty `C` of scikit-learn."""

    knots: int
    C: float

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        return "additive logistic regression (piecewise-linear in every input)"


@dataclass(frozen=True, slots=True)
class AdditiveCox:
    """Cox regression on the same basis, Breslow's ties, followed to the horizon; L2 penalty on scaled coefficients."""

    knots: int
    penalty: float
    horizons_years: tuple[float, ...]

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        return "Cox regression (piecewise-linear in every input)"


@dataclass(frozen=True, slots=True)
class AdditiveTrees:
    """Boosted step functions of one input each (scikit-learn's HistGradientBoosting without interactions)."""

    rounds: int
    rate: float
    leaf: int

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        return "additive boosted trees (a step function of every input)"


@dataclass(frozen=True, slots=True)
class ShallowTrees:
    """Boosted trees of at most `depth` questions (scikit-learn's HistGradientBoosting); 4 is the limit of cards."""

    depth: int
    rounds: int
    rate: float
    leaf: int

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        return f"boosted trees of depth {self.depth}"


Estimator: TypeAlias = AdditiveLogistic | AdditiveCox | AdditiveTrees | ShallowTrees


# Of every training that is not told otherwise: parity rows and bootstrap samples.
SEED = 20260101
REPLICATES = 1000
DAYS_PER_YEAR = 365.25

# A column of a training table; pandas is named only in models_onnx.training, so that serving never needs it.
Column = Any
ColumnOf = Callable[[Any], Column]


@dataclass(frozen=True, slots=True)
class FollowUp:
    """How long each row was followed and whether the event ended it; in units of which a year has `per_year`.

    With it, who was followed for less than the horizon counts through the time there was.
    """

    time: ColumnOf
    event: ColumnOf
    per_year: float


@dataclass(frozen=True, slots=True)
class OutcomeSpec:
    """What is predicted: the table's 0/1 column (or how it is told from the table), the horizon, a card's words."""

    column: str
    words: str
    horizon_days: float
    of: ColumnOf | None = None
    follow_up: FollowUp | None = None

    @property
    def horizon_years(self) -> float:
        """The horizon in years of 365.25 days."""
        return self.horizon_days / DAYS_PER_YEAR


@dataclass(frozen=True, slots=True)
class FromCharts:
    """How rows come from charts: from which instant one predicts, and what may happen after it.

    `visit`: the first outpatient visit a year or more after the chart begins; `discharge`: the end of each stay in
    hospital; `third-day`: of the first stay.
    """

    index: Literal["visit", "discharge", "third-day"]
    event: Literal["death", "readmission"]


@dataclass(frozen=True, slots=True)
class CohortExclusion:
    """One step of the cohort: `leaves_out` marks the rows that go; counted in the order declared.

    `at_score` is the reason code with which `model score` leaves such a row without a score; None where the step is
    only about training (not followed up, say).
    """

    reason: str
    words: str
    leaves_out: ColumnOf
    at_score: str | None = None


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input by its feature name; everything else about it stands in `fhir.mapping.features.catalog`.

    `clip_high`: a higher value is scored as this one (the study stops there) and is not out of range. `knots`: where
    its line bends, instead of at quantiles; for a code each value is a knot. `rises`: +1 where the risk may only rise
    with it, -1 where it may only fall; kept by the tree models.
    """

    name: str
    clip_high: float | None = None
    knots: tuple[float, ...] | None = None
    rises: int = 0

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
class PopulationSpec:
    """Who may be scored, in words and as far as the record can be asked; `age_low` 0 where there is no limit."""

    words: str
    age_low: int
    exclude_conditions: tuple[str, ...] = ()


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
    c_index: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Everything that is decided about a model before any data is read."""

    id: str
    version: str
    title: str
    outcome: OutcomeSpec
    intended_use: str
    users: str
    decision_role: str
    not_for: tuple[str, ...]
    cautions: tuple[str, ...]
    population: PopulationSpec
    table: str
    period: str
    cohort_words: str
    exclusions: tuple[CohortExclusion, ...]
    inputs: tuple[InputSpec, ...]
    derived: Mapping[str, ColumnOf]
    always_required: tuple[str, ...]
    required_groups: tuple[RequiredGroup, ...] = ()
    estimator: Estimator
    recalibration: Recalibration | None = None
    reference_words: str
    capacity: float
    capacities: tuple[float, ...]
    simple_inputs: tuple[str, ...]
    floors: Floors
    subgroups: Mapping[str, ColumnOf]
    panels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    row_words: str = "people"
    """What a row of the table is, in the plural: people, stays."""
    row_column: str | None = None
    """The table's key of a row, where it is not the patient."""
    patient_column: str = "participant_id"
    fold_column: str = "fold"
    text: bool = False
    """Whether the table is read as text throughout, its codes with leading zeros and its "?" among it."""
    never_inputs: tuple[str, ...] = ()
    """Columns of the table that know the outcome, or stand for who pays: named so that a check can look for them."""
    charts: FromCharts | None = None
    """How it is trained from FHIR instead of its table; None where it is not."""
    twin: str | None = None
    """The id of the model that takes over where this one refuses for what is missing."""
    twin_words: str = ""

    def __post_init__(self) -> None:
        known = set(self.feature_names)
        if strange := sorted(known - set(FEATURES)):
            text = f"{self.id}: {', '.join(strange)} is not declared in fhir/mapping/features"
            raise DeclarationError(text, strange[0])
        if len(known) != len(self.inputs):
            raise DeclarationError(f"{self.id}: an input is declared twice")
        groups = {member for group in self.required_groups for member in group.members}
        named = {
            *self.always_required,
            *self.simple_inputs,
            *groups,
            *self.derived,
            *(n for panel in self.panels.values() for n in panel),
        }
        if unknown := sorted(named - known):
            raise DeclarationError(f"{self.id}: {', '.join(unknown)} is named but is not an input", unknown[0])
        if leaked := sorted(known & set(self.never_inputs)):
            raise DeclarationError(f"{self.id}: {', '.join(leaked)} is an input and may never be one")
        if self.capacity not in self.capacities:
            raise DeclarationError(
                f"{self.id}: capacity {self.capacity} is not one of its capacities {self.capacities}"
            )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The inputs by name, in the order of the model's vector."""
        return tuple(item.name for item in self.inputs)

    @property
    def key(self) -> str:
        """The table's column that names a row."""
        return self.row_column or self.patient_column


def find_specs(folder: Path | None = None) -> dict[str, ModelSpec]:
    """Every model declared in `models_onnx/models/` and in `folder`, by id.

    Raises:
        DeclarationError: a file declares no SPEC, one of another name, or another TWIN than its SPEC names.
    """
    found: dict[str, ModelSpec] = {}
    for each in declarations("models_onnx.models", "SPEC", ModelSpec, folder=folder):
        spec, twin = each.value, vars(each.module).get("TWIN")
        each.file.refuse_other_name("SPEC", spec.id)
        if (twin.id if isinstance(twin, ModelSpec) else None) != spec.twin:
            raise each.file.fault(f"the TWIN of this file is not the model {spec.twin!r} that its SPEC names", "TWIN")
        for one in (spec, twin):
            if isinstance(one, ModelSpec):
                if one.id in found:
                    raise each.file.fault(f"two models are called {one.id}", one.id)
                found[one.id] = one
    return found


def get_spec(name: str, folder: Path | None = None) -> ModelSpec:
    """The specification of that id.

    Raises:
        UnknownModel: there is none; the message lists those there are.
        DeclarationError: a file of the models is wrong.
    """
    specs = find_specs(folder)
    if name not in specs:
        raise UnknownModel(f"no model is called {name!r}; there are: {', '.join(sorted(specs))}")
    return specs[name]


__all__ = [
    "REPLICATES",
    "SEED",
    "AdditiveLogistic",
    "CohortExclusion",
    "Estimator",
    "Floors",
    "FollowUp",
    "FromCharts",
    "InputSpec",
    "ModelSpec",
    "OutcomeSpec",
    "PopulationSpec",
    "Recalibration",
    "RequiredGroup",
    "find_specs",
    "get_spec",
]
