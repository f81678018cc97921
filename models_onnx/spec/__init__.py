"""What one model declares: outcome, cohort, inputs, estimator, calibration, thresholds, words.

One module in `models_onnx/models/` with one `SPEC` is one model; nothing else has to be told about it. A module may
also declare its `TWIN`: the model that takes over where too much is missing for the first. A model of a site was fitted
elsewhere, and is declared as data (`spec/model_file.py`) in the folder that the commands are given with `--specs`.

`spec/estimators.py` holds the families of models that can be declared, `spec/cohort.py` what outcome, cohort and inputs
are declared with.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from fhir.mapping.features.catalog import FEATURES
from fhir.terminology.conditions import CONDITION_GROUPS
from models_onnx.artifact.folder import VERSION_SIGN
from models_onnx.artifact.manifest import DAYS_PER_YEAR, MissingKind, ModelPopulation, RequiredInputGroup
from models_onnx.declarations import add_features, declarations, refuse_wrong_types
from models_onnx.errors import DeclarationError, UnknownModel
from models_onnx.spec.cohort import (
    CohortExclusion,
    ColumnOf,
    FollowUp,
    InputSpec,
    OutcomeSpec,
    Period,
    Recalibration,
)
from models_onnx.spec.estimators import AdditiveLogistic, Estimator, Fitted
from models_onnx.spec.model_file import SUFFIX, model_files, read_model_file
from models_onnx.spec.renewal import read_renewal, renewed_spec

Fault = tuple[str, str]
"""What is wrong with a declaration, and the word of it that is wrong."""

SEED = 20260101
REPLICATES = 1000
# A card about more than half of the people says nothing about anyone; this limit is ours.
MOST_ALERTED = 0.5
_OLDEST = 120
# responsible-ai.md 1.3, attribute 8: a model may inform or augment a decision, never replace it.
DECISION_ROLES = ("informs", "augments")


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
    population: ModelPopulation
    table: str
    period: str
    cohort_words: str
    exclusions: tuple[CohortExclusion, ...]
    inputs: tuple[InputSpec, ...]
    derived: Mapping[str, ColumnOf]
    always_required: tuple[str, ...]
    required_groups: tuple[RequiredInputGroup, ...] = ()
    estimator: Estimator
    missing_inputs: MissingKind | None = None
    """What a missing input counts as, to which the gate explanation holds: "average" (it contributes 0), "imputed" (a
    value that is put in its place) or "learned" (its absence raises or lowers the estimate). None: the average."""
    recalibration: Recalibration | None = None
    newest: Period | None = None
    """The latest rows that were followed to the horizon; their figures stand beside those of all rows."""
    reference_words: str
    capacity: float
    capacities: tuple[float, ...]
    simple_inputs: tuple[str, ...]
    subgroups: Mapping[str, ColumnOf]
    alerts_per_event: float | None = None
    """How many alerts one event found is worth: the exchange rate of the net benefit by which the threshold is chosen.

    5 is the bar for a new clinical card of responsible-ai.md 4.2, a PPV of 0.2. None: the threshold is that of the
    capacity declared.
    """
    age_bands: tuple[float, ...] = ()
    """Lowest ages of bands within each of which the default capacity is also told as a threshold of its own."""
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
    twin: str | None = None
    """The id of the model that takes over where this one refuses for what is missing."""
    twin_words: str = ""

    def __post_init__(self) -> None:
        refuse_wrong_types(self)
        if isinstance(self.estimator, Fitted):
            object.__setattr__(self, "estimator", replace(self.estimator, inputs=self.feature_names))
        faults = (self._wrong_names, self._wrong_numbers, self._wrong_age_bands)
        for text, about in chain.from_iterable(wrong() for wrong in faults):
            raise DeclarationError(f"{self.id}: {text}", about)

    def _wrong_names(self) -> Iterator[Fault]:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.id):
            yield "an id is small letters, digits and _, and begins with a letter", "id"
        if not re.fullmatch(r"\d+\.\d+\.\d+", self.version):
            yield f"the version is {self.version!r}; it must be three numbers, such as 1.0.0", "version"
        for name in ("inputs", "not_for", "cautions"):
            if not getattr(self, name):
                yield f"it has no {name}", name
        features = set(self.feature_names)
        if strange := sorted(features - set(FEATURES)):
            yield f"{', '.join(strange)} is not declared in fhir/mapping/features", strange[0]
        if twice := [name for name, count in Counter(self.feature_names).items() if count > 1]:
            yield f"the input {twice[0]} is declared twice", twice[0]
        groups, panels = (group.members for group in self.required_groups), self.panels.values()
        referenced = {*self.always_required, *self.simple_inputs, *self.derived, *chain(*groups, *panels)}
        if unknown := sorted(referenced - features):
            yield f"{', '.join(unknown)} is named but is not an input", unknown[0]
        for group in self.required_groups:
            if group.at_least > len(group.members):
                text = f"group {group.name} wants {group.at_least} of {len(group.members)} inputs: nobody gets a score"
                yield text, group.name
        if strange := sorted({*self.population.exclude_conditions} - {*CONDITION_GROUPS}):
            keys = ", ".join(strange)
            yield f"exclude_conditions {keys} is no key of fhir/terminology/tables/condition_groups.csv", strange[0]
        if leaked := sorted(features & set(self.never_inputs)):
            yield f"{', '.join(leaked)} is an input and may never be one", leaked[0]
        if self.standardise_by is not None and self.standardise_by not in self.subgroups:
            yield f"there is no subgroup axis {self.standardise_by!r}", self.standardise_by
        if self.decision_role not in DECISION_ROLES:
            roles = ", ".join(DECISION_ROLES)
            yield f"decision_role {self.decision_role!r} is not one of {roles}", "decision_role"

    def _wrong_numbers(self) -> Iterator[Fault]:
        if not 0 < self.outcome.horizon_days < float("inf"):
            yield f"the horizon is {self.outcome.horizon_days} days; it must be more than 0", "horizon_days"
        age_low = self.population.age_low
        if not 0 <= age_low <= _OLDEST:
            yield f"age_low is {age_low}; nobody would be scored. It must be 0 to {_OLDEST}", "age_low"
        if strange := [share for share in (self.capacity, *self.capacities) if not 0 < share < 1]:
            text = f"a capacity of {strange[0]} is no share of the people between 0 and 1"
            yield f"{text} (0.1 shows a card for a tenth)", "capacity"
        if wrong := [share for share in self.capacities if share > MOST_ALERTED]:
            yield f"capacities {wrong} are not above 0 and at most {MOST_ALERTED:g}", "capacities"
        if self.alerts_per_event is not None and not self.alerts_per_event > 1:
            yield f"alerts_per_event {self.alerts_per_event} is not above 1", "alerts_per_event"
        if self.capacity not in self.capacities:
            yield f"capacity {self.capacity} is not one of its capacities {self.capacities}", "capacity"

    def _wrong_age_bands(self) -> Iterator[Fault]:
        is_rising = list(self.age_bands) == sorted(set(self.age_bands))
        if self.age_bands and not ("age_years" in self.feature_names and is_rising):
            yield "age_bands are rising ages, of a model that has the input age_years", "age_bands"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The inputs by name, in the order of the model's vector."""
        return tuple(item.name for item in self.inputs)

    @property
    def key(self) -> str:
        """The table's column that names a row."""
        return self.row_column or self.patient_column


def find_specs(folder: Path | None = None) -> dict[str, ModelSpec]:
    """Return every model declared in `models_onnx/models/` and in `folder`, by id.

    Raises:
        DeclarationError: a file declares no SPEC, one of another name, or another TWIN than its SPEC names; or the
            folder's features.toml declares a feature wrongly.
    """
    if folder is not None:
        add_features(folder)
    specs: dict[str, ModelSpec] = {}
    for declaration in declarations("models_onnx.models", "SPEC", ModelSpec):
        spec, twin = declaration.value, vars(declaration.module).get("TWIN")
        declaration.file.refuse_other_name("SPEC", spec.id)
        if (twin.id if isinstance(twin, ModelSpec) else None) != spec.twin:
            raise declaration.file.fault(
                f"the TWIN of this file is not the model {spec.twin!r} that its SPEC names", "TWIN"
            )
        specs |= {declared.id: declared for declared in (spec, twin) if isinstance(declared, ModelSpec)}
    for file in model_files(folder) if folder is not None else ():
        if file.name in specs:
            raise file.fault(f"two models are called {file.name}")
        try:
            specs[file.name] = ModelSpec(**read_model_file(file))
        except DeclarationError as fault:
            raise fault if fault.file else file.fault(fault.text, fault.about) from fault
    return specs


def declaring_file(name: str, folder: Path) -> Path | None:
    """Return the file of a folder that declares the model of this id; None where none does."""
    return next((path for ending in (".py", SUFFIX) if (path := folder / f"{name}{ending}").is_file()), None)


def no_model(name: str, specs: Mapping[str, ModelSpec], folder: Path | None) -> str:
    """Return the sentence that no model of this name is declared, and where a model of one's own is looked for."""
    hint = "" if folder is not None else "; --specs FOLDER names the folder of your own declarations"
    return f"no model is called {name!r}; there are: {', '.join(sorted(specs))}{hint}"


def get_spec(name: str, folder: Path | None = None) -> ModelSpec:
    """Return the specification of that id; of `id@version` the renewal of this version, where `folder` has it.

    Raises:
        UnknownModel: there is none; the message lists those there are.
        DeclarationError: a file of the models is wrong.
    """
    specs, (model_id, _, version) = find_specs(folder), name.partition(VERSION_SIGN)
    if model_id not in specs:
        raise UnknownModel(no_model(model_id, specs, folder))
    renewal = read_renewal(name, folder) if version and folder is not None else None
    return specs[model_id] if renewal is None else renewed_spec(specs[model_id], renewal)


__all__ = [
    "DAYS_PER_YEAR",
    "REPLICATES",
    "SEED",
    "AdditiveLogistic",
    "CohortExclusion",
    "ColumnOf",
    "Estimator",
    "Fitted",
    "FollowUp",
    "InputSpec",
    "ModelPopulation",
    "ModelSpec",
    "OutcomeSpec",
    "Period",
    "Recalibration",
    "RequiredInputGroup",
    "declaring_file",
    "find_specs",
    "get_spec",
]
