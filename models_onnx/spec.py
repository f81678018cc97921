"""What one model declares: outcome, cohort, inputs, estimator, calibration, thresholds, words.

One module in `models_onnx/models/` with one `SPEC` is one model; nothing else has to be told about it. A module may
also declare its `TWIN`: the model that takes over where too much is missing for the first. Declarations outside the
package are found in the folder that the commands are given with `--specs`.

The families of models that can be declared, simplest first (`training/fitting/families.py` fits them):

AdditiveLogistic   broken lines, logistic                  logit      exact contributions
AdditiveCox        broken lines, proportional hazards      cloglog    exact contributions, several horizons
AdditiveTrees      boosted step functions, one per input   logit      exact contributions
ShallowTrees       boosted trees to depth 4                logit      exact Shapley values
OwnEstimator       any estimator that the compiler takes   its own    as the compiler says (docs/models/compiler.md)
Fitted             a model that was fitted elsewhere       its own    the same; nothing is fitted
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.declared import FeatureFault, add_declared_features
from fhir.terminology.conditions import CONDITION_KEYS
from models_onnx.artifact.manifest import DAYS_PER_YEAR as DAYS_PER_YEAR
from models_onnx.artifact.manifest import MissingKind
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


@dataclass(frozen=True, slots=True)
class OwnEstimator:
    """An unfitted classifier with scikit-learn's interface, fitted anew on each fold: a Pipeline, LightGBM, an EBM.

    A declaration writes `estimator=Pipeline(...)`; this is put around it.
    """

    estimator: Any

    @property
    def words(self) -> str:
        """What it is, for a reader: the classes of its steps."""
        return f"an estimator of its own ({_classes(self.estimator)})"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model that was fitted elsewhere: nothing is fitted, and the table's rows are people it was not trained on.

    `source`: a file beside the declaration (.skops; LightGBM text; XGBoost JSON or UBJ), or `module:function`, whose
    function returns the fitted object. `trained_on` says for readers whom it was trained on. `trusted`: types of a
    skops file that may be loaded besides those that skops trusts. `columns`: the model's own names of the inputs, in
    their order, where they are others. `per_year`: for a Cox model, how many units of its time a year has.
    `approximate`: trees too deep for exact contributions get shares along their paths, which the file, the card and the
    page mark as an approximation; gate G6 refuses such a model for cards, and lists may use it.
    """

    source: str
    trained_on: str
    trusted: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    per_year: float | None = None
    approximate: bool = False
    inputs: tuple[str, ...] = ()
    """The names of the inputs; the ModelSpec puts them in."""
    folder: Path | None = None
    """The folder of the declaration; whoever reads the declaration puts it in."""

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        return f"a model that was fitted elsewhere (on {self.trained_on})"


def _classes(estimator: Any) -> str:
    steps = getattr(estimator, "steps", None)
    own = type(estimator).__name__
    return f"{own} of {', '.join(_classes(step) for _, step in steps)}" if steps else own


Estimator: TypeAlias = AdditiveLogistic | AdditiveCox | AdditiveTrees | ShallowTrees | OwnEstimator | Fitted


# Of every training that is not told otherwise: parity rows and bootstrap samples.
SEED = 20260101
REPLICATES = 1000
# A card about more than half of the people says nothing about anyone; this limit is ours.
MOST_ALERTED = 0.5
# responsible-ai.md 1.3, attribute 8: a model may inform or augment a decision, never replace it.
DECISION_ROLES = ("informs", "augments")

# A column of a training table; pandas is named only in models_onnx.training, so that serving never needs it.
Column = Any
ColumnOf = Callable[[Any], Column]


@dataclass(frozen=True, slots=True)
class FollowUp:
    """How long each row was followed and whether the event ended it; in units of which a year has `per_year`.

    With it, who was followed for less than the horizon counts through the time there was. `strata` names the rows that
    left the study alike, such as a survey cycle: each stratum is weighted by its own censoring. Without it the
    strata are the latest period and the time before.
    """

    time: ColumnOf
    event: ColumnOf
    per_year: float
    strata: ColumnOf | None = None


@dataclass(frozen=True, slots=True)
class OutcomeSpec:
    """What is predicted: the table's 0/1 column (or how it is told from the table), the horizon, a card's words.

    `event` and `label_lag_days`: as in the manifest (docs/operations/outcomes.md).
    """

    column: str
    words: str
    horizon_days: float
    of: ColumnOf | None = None
    follow_up: FollowUp | None = None
    event: str | None = None
    label_lag_days: float | None = None

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
class Period:
    """The rows whose `column` lies between `since` and `until`, both included."""

    column: str
    since: float
    until: float
    words: str

    def rows(self, table: Any) -> Any:
        """A mask of the rows of the table in this period."""
        return (table[self.column] >= self.since) & (table[self.column] <= self.until)


Recalibration: TypeAlias = Period
"""Intercept and slope are re-estimated, out of fold, on the rows of this period: the reference cohort."""


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
    estimator: Any
    """One of `Estimator`, or an unfitted classifier with scikit-learn's interface."""
    missing_inputs: MissingKind | None = None
    """What a missing input counts as, which gate G6 holds the file to: "average" (it contributes 0), "imputed" (a value
    that is put in its place) or "learned" (its absence raises or lowers the estimate). None: the average, or what the
    trees of this project put in its place."""
    recalibration: Recalibration | None = None
    newest: Period | None = None
    """The latest rows that were followed to the horizon; their figures stand beside those of all rows."""
    reference_words: str
    capacity: float
    capacities: tuple[float, ...]
    simple_inputs: tuple[str, ...]
    floors: Floors
    subgroups: Mapping[str, ColumnOf]
    alerts_per_event: float | None = None
    """How many alerts one event found is worth: the exchange rate of the net benefit by which the threshold is chosen.

    5 is the bar for a new clinical card of responsible-ai.md 4.2, a PPV of 0.2. None: the threshold is that of the
    capacity declared.
    """
    age_bands: tuple[float, ...] = ()
    """Lowest ages of bands within each of which the default capacity is also told as a threshold of its own."""
    age_percentiles: bool = False
    """Whether the card also says how high the estimate is among the people of the same age band."""
    needs: Mapping[str, ColumnOf] = field(default_factory=dict)
    """What people need, for the audit of the label, by the name that the card's `label.audit.need` uses."""
    standardise_by: str | None = None
    """The subgroup axis, such as the age band, to whose whole distribution error rates of other groups are adjusted."""
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
        self._know_the_estimator()
        self._know_what_is_missing()
        if not 0 < self.outcome.horizon_days < float("inf"):
            said = f"{self.id}: the horizon is {self.outcome.horizon_days} days; it must be more than 0"
            raise DeclarationError(said, "horizon_days")
        if strange_shares := [share for share in (self.capacity, *self.capacities) if not 0 < share < 1]:
            said = f"{self.id}: a capacity of {strange_shares[0]} is no share of the people between 0 and 1"
            raise DeclarationError(f"{said} (0.1 shows a card for a tenth)", "capacity")
        if not self.inputs:
            raise DeclarationError(f"{self.id}: it has no inputs", "inputs")
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
        if strange := sorted({*self.population.exclude_conditions} - {*CONDITION_KEYS}):
            keys = ", ".join(strange)
            text = f"{self.id}: exclude_conditions {keys} is no key of fhir/terminology/tables/conditions.csv"
            raise DeclarationError(text, strange[0])
        if rises := [item.name for item in self.inputs if item.rises not in (-1, 0, 1)]:
            raise DeclarationError(f"{self.id}: rises of {', '.join(rises)} is not -1, 0 or 1", rises[0])
        if self.decision_role not in DECISION_ROLES:
            roles = ", ".join(DECISION_ROLES)
            raise DeclarationError(f"{self.id}: decision_role {self.decision_role!r} is not one of {roles}")
        if wrong := [share for share in self.capacities if not 0 < share <= MOST_ALERTED]:
            raise DeclarationError(f"{self.id}: capacities {wrong} are not above 0 and at most {MOST_ALERTED:g}")
        if leaked := sorted(known & set(self.never_inputs)):
            raise DeclarationError(f"{self.id}: {', '.join(leaked)} is an input and may never be one")
        if self.age_percentiles and not self.age_bands:
            said = f"{self.id}: age_percentiles needs age_bands, the lowest age of each band, such as (18, 45, 65, 80)"
            raise DeclarationError(said, "age_percentiles")
        if self.age_bands and ("age_years" not in known or list(self.age_bands) != sorted(set(self.age_bands))):
            said = f"{self.id}: age_bands are rising ages, of a model that has the input age_years"
            raise DeclarationError(said, "age_bands")
        if self.standardise_by is not None and self.standardise_by not in self.subgroups:
            raise DeclarationError(f"{self.id}: there is no subgroup axis {self.standardise_by!r}", self.standardise_by)
        if self.alerts_per_event is not None and not self.alerts_per_event > 1:
            raise DeclarationError(f"{self.id}: alerts_per_event {self.alerts_per_event} is not above 1")
        if self.capacity not in self.capacities:
            raise DeclarationError(
                f"{self.id}: capacity {self.capacity} is not one of its capacities {self.capacities}"
            )

    def _know_the_estimator(self) -> None:
        own: Any = self.estimator
        if isinstance(own, Fitted):
            own = replace(own, inputs=self.feature_names)
        elif not hasattr(own, "words"):
            if not hasattr(own, "fit") or isinstance(own, type):
                said = f"{self.id}: the estimator is {own!r}; it must be one of models_onnx.spec, or a classifier"
                raise DeclarationError(f"{said} with fit and predict_proba, like make_pipeline(...)", "estimator")
            own = OwnEstimator(own)
        object.__setattr__(self, "estimator", own)
        if isinstance(own, OwnEstimator | Fitted):
            if clipped := [item.name for item in self.inputs if item.clip_high is not None]:
                said = f"{self.id}: clip_high of {', '.join(clipped)} is for the declared families"
                raise DeclarationError(f"{said}; leave such values out of range, or clip in the pipeline", "clip_high")
            if rising := [item.name for item in self.inputs if item.rises or item.knots]:
                said = f"{self.id}: rises and knots of {', '.join(rising)} are for the declared families"
                raise DeclarationError(f"{said}; give the estimator its own constraints (monotonic_cst)", rising[0])

    def _know_what_is_missing(self) -> None:
        kinds = get_args(MissingKind)
        own = isinstance(self.estimator, OwnEstimator | Fitted)
        if self.missing_inputs is not None and self.missing_inputs not in kinds:
            said = f"{self.id}: missing_inputs {self.missing_inputs!r} is not one of {', '.join(kinds)}"
            raise DeclarationError(said, "missing_inputs")
        if self.missing_inputs is not None and not own:
            said = f"{self.id}: what a missing input counts as is settled for {self.estimator.words}"
            raise DeclarationError(f"{said}; leave out missing_inputs", "missing_inputs")

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
        DeclarationError: a file declares no SPEC, one of another name, or another TWIN than its SPEC names; or the
            folder's features.toml declares a feature wrongly.
    """
    if folder is not None:
        add_features(folder)
    found: dict[str, ModelSpec] = {}
    for each in declarations("models_onnx.models", "SPEC", ModelSpec, folder=folder):
        spec, twin = each.value, vars(each.module).get("TWIN")
        each.file.refuse_other_name("SPEC", spec.id)
        if (twin.id if isinstance(twin, ModelSpec) else None) != spec.twin:
            raise each.file.fault(f"the TWIN of this file is not the model {spec.twin!r} that its SPEC names", "TWIN")
        for declared in (spec, twin):
            if isinstance(declared, ModelSpec):
                one = _placed(declared, each.file.path.parent)
                if one.id in found:
                    raise each.file.fault(f"two models are called {one.id}", one.id)
                found[one.id] = one
    return found


def _placed(spec: ModelSpec, folder: Path) -> ModelSpec:
    """A fitted model's file is found beside its declaration."""
    if not isinstance(spec.estimator, Fitted):
        return spec
    return replace(spec, estimator=replace(spec.estimator, folder=folder))


def add_features(folder: Path) -> None:
    """Makes the features known that `features.toml` in this folder declares; DeclarationError where it is wrong."""
    try:
        add_declared_features(folder)
    except FeatureFault as fault:
        raise DeclarationError(str(fault)) from fault


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
    "Fitted",
    "Floors",
    "FollowUp",
    "FromCharts",
    "InputSpec",
    "ModelSpec",
    "OutcomeSpec",
    "OwnEstimator",
    "Period",
    "PopulationSpec",
    "Recalibration",
    "RequiredGroup",
    "add_features",
    "find_specs",
    "get_spec",
]
