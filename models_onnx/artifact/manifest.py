"""The manifest of an artifact: what a server, a card and a reader need to know about one model file."""

from typing import Any, Final, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

DAYS_PER_YEAR: Final = 365.25
"""Days of a year in which a horizon is given."""
NORMAL_95: Final = 1.959964
"""Standard deviations within which 95 % of a normal distribution lie."""


class ModelFile(Struct, frozen=True):
    """The model file that the manifest is about."""

    name: str
    sha256: str
    bytes: int


class TrainingData(Struct, frozen=True):
    """The table it was trained from."""

    name: str
    sha256: str
    rows: int


class ModelOutcome(Struct, frozen=True, omit_defaults=True):
    """What is predicted, over how many years, and over how many days where that is how one thinks of it.

    `event` names what happens, as outcomes are reported (`death`, `admission`); `label_lag_days` says how many days
    after the horizon all of it is known.
    """

    column: str
    words: str
    horizon_years: float
    horizon_days: float | None = None
    event: str | None = None
    label_lag_days: float | None = None


class ModelPopulation(Struct, frozen=True):
    """Who may be scored, in words and as far as the record can be asked; `age_low` 0 where there is no limit."""

    words: str
    age_low: int
    exclude_conditions: tuple[str, ...] = ()


class ModelInput(Struct, frozen=True):
    """One input: what it is and the range the model was trained on; `clip_high`: higher is scored as this."""

    name: str
    words: str
    unit: str
    loinc: tuple[str, ...]
    fhir: str
    trained_low: float
    trained_high: float
    clip_high: float | None
    reference_value: float
    group: str | None
    choices: tuple[str, ...] = ()
    """What each value means, for an input that is a code: the first is 0."""


class Twin(Struct, frozen=True):
    """The model that takes over where this one refuses for what is missing, and when that is."""

    id: str
    words: str


class RequiredInputGroup(Struct, frozen=True):
    """At least so many of these inputs must be there, or there is no score."""

    name: str
    words: str
    members: tuple[str, ...]
    at_least: int


class RequiredInputs(Struct, frozen=True):
    """Which inputs must be there for a score."""

    always: tuple[str, ...]
    groups: tuple[RequiredInputGroup, ...]


class CohortStep(Struct, frozen=True):
    """One step of the cohort."""

    reason: str
    words: str
    count: int


class TrainingCohort(Struct, frozen=True):
    """Who was trained on, and who was left out in which step."""

    words: str
    table_rows: int
    exclusions: tuple[CohortStep, ...]
    n: int
    events: int


class DataPeriod(Struct, frozen=True):
    """Years of the training data and of the recalibration."""

    training: str
    recalibration: str


class RiskBin(Struct, frozen=True):
    """What happened to the reference cohort's people from `probability_low` on; `predicted` is their mean estimate."""

    probability_low: float
    percentile_low: float
    predicted: float
    count: int
    events: int
    rate: float
    low: float
    high: float


class ReferenceCohort(Struct, frozen=True):
    """With whom a person is compared."""

    words: str
    n: int
    events: int
    bins: tuple[RiskBin, ...]


class Threshold(Struct, frozen=True):
    """One capacity: the share of the reference cohort that is alerted, and what that costs and finds."""

    capacity: float
    percentile: float
    margin: float
    probability: float
    alert_rate: float
    ppv: float
    sensitivity: float
    number_needed_to_alert: float
    net_benefit: float | None = None
    """True alerts less false ones at the exchange rate of `Thresholds.alerts_per_event`, per person."""


class AgeBandThreshold(Struct, frozen=True, omit_defaults=True):
    """The threshold that the default capacity's share of one age band reaches, ages from `age_low` to `age_below`."""

    age_low: float
    age_below: float | None
    margin: float
    probability: float
    alert_rate: float
    ppv: float | None
    sensitivity: float | None

    @property
    def words(self) -> str:
        """The ages, as "70 to under 80" or "80 and over"."""
        if self.age_below is None:
            return f"{self.age_low:g} and over"
        return f"{self.age_low:g} to under {self.age_below:g}"


class Thresholds(Struct, frozen=True):
    """The default capacity and the table of what a setting may choose.

    The default is the row of the greatest net benefit among those of at most the capacity declared, where one event
    found is worth `alerts_per_event` alerts. `net_benefit_all` is that of alerting about everybody.
    """

    capacity: float
    table: tuple[Threshold, ...]
    alerts_per_event: float | None = None
    net_benefit_all: float | None = None
    age_bands: tuple[AgeBandThreshold, ...] = ()

    @property
    def default(self) -> Threshold:
        """The row of the default capacity."""
        return next(row for row in self.table if row.capacity == self.capacity)

    def band_at(self, age: float) -> AgeBandThreshold | None:
        """Return the band of this age; None where there is none."""
        bands = self.age_bands
        return next((b for b in bands if b.age_low <= age and (b.age_below is None or age < b.age_below)), None)


class Lineage(Struct, frozen=True, kw_only=True):
    """What a model was made with, beyond its data (`data.sha256`), its seed and the versions in `software`.

    `code` is the version of this package (older manifests: its commit, and whether files differed from it);
    `declaration_sha256` is of the file that declares the model, `fitted_sha256` of the file of a model that was fitted
    elsewhere. Empty: not known.
    """

    code: str
    declaration_sha256: str = ""
    fitted_sha256: str = ""


class Provenance(Struct, frozen=True):
    """On whom a model was fitted, on whom it was evaluated, and on whom it was recalibrated, in words.

    Three facts, which are of the same people only where it says so. `fitted_on` is empty where nobody knows it,
    `recalibrated_on` where it was not recalibrated.
    """

    fitted_on: str
    evaluated_on: str
    recalibrated_on: str = ""


MissingKind: TypeAlias = Literal["average", "imputed", "learned"]


class MissingInputs(Struct, frozen=True, kw_only=True):
    """What a missing input counts as; the gate `explanation` holds the file to it.

    average: the mean of the reference cohort, so that it contributes 0. imputed: the value in `values`. learned: what
    was learned from people without it, so that its absence raises or lowers the estimate by itself.
    """

    kind: MissingKind
    values: dict[str, float] = {}


class InputDistribution(Struct, frozen=True):
    """How the values of an input lie in the reference cohort, of whom `n` had one.

    `shares[0]` is the share of values up to `cuts[0]`, the next that of those above it up to `cuts[1]`, and so on: the
    deciles, or each value where there are at most ten.
    """

    n: int
    cuts: tuple[float, ...]
    shares: tuple[float, ...]


class Manifest(Struct, frozen=True, kw_only=True):
    """Everything a server, a card and a reader need to know about one model file."""

    format: Literal["cds-hooks-onnx/manifest/1"]
    id: str
    version: str
    title: str
    file: ModelFile
    data: TrainingData
    software: dict[str, str]
    seed: int
    outcome: ModelOutcome
    intended_use: str
    users: str
    decision_role: str
    not_for: tuple[str, ...]
    cautions: tuple[str, ...]
    population: ModelPopulation
    period: DataPeriod
    cohort: TrainingCohort
    reference: ReferenceCohort
    features: tuple[ModelInput, ...]
    required: RequiredInputs
    link: str
    base: float
    thresholds: Thresholds
    evaluation: dict[str, Any]
    parity: dict[str, Any]
    estimator: str = "additive logistic regression (piecewise-linear in every input)"
    row_words: str = "people"
    twin: Twin | None = None
    lineage: Lineage | UnsetType = UNSET
    """Not there: not recorded, as of every model that was made before 22 November 2026."""
    provenance: Provenance | UnsetType = UNSET
    """Not there: not recorded, as of every model that was made before 23 November 2026 (`model_card.origin`)."""
    missing_inputs: MissingInputs | UnsetType = UNSET
    """Not there: a missing input counts as the average."""
    distributions: dict[str, InputDistribution] | UnsetType = UNSET
    """By input its values in the reference cohort. Not there: not recorded, as before 29 November 2026."""
    groups: dict[str, tuple[str, ...]] | UnsetType = UNSET
    """Inputs that are explained together, by the name of their group. Not there: each input is explained by itself."""

    @property
    def table_period(self) -> str:
        """The years of the table, which are not those of the training where an earlier version was recalibrated."""
        # as in a version that was only recalibrated, every row is of the reference cohort
        return self.period.recalibration if self.reference.n == self.cohort.n else self.period.training

    @property
    def missing_kind(self) -> MissingKind:
        """What a missing input counts as."""
        return "average" if isinstance(self.missing_inputs, UnsetType) else self.missing_inputs.kind

    def group_of(self, name: str) -> tuple[str, ...]:
        """Return the name and the members of the group with which an input is explained; empty where it is alone."""
        groups = {} if isinstance(self.groups, UnsetType) else self.groups
        several = ((group, *members) for group, members in groups.items() if name in members and len(members) > 1)
        return next(several, ())

    def feature(self, name: str) -> ModelInput:
        """Return the input of that name; KeyError where there is none."""
        for item in self.features:
            if item.name == name:
                return item
        raise KeyError(name)
