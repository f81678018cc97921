"""The manifest of an artifact, read: every member is described in schemas/manifest.schema.json, which goes before."""

from typing import Any

import msgspec
from msgspec import Struct


class File(Struct, frozen=True):
    """The model file the manifest speaks of."""

    name: str
    sha256: str
    bytes: int


class Data(Struct, frozen=True):
    """The table it was trained from."""

    name: str
    sha256: str
    rows: int


class Outcome(Struct, frozen=True):
    """What is predicted, over how many years, and over how many days where that is how one thinks of it."""

    column: str
    words: str
    horizon_years: float
    horizon_days: float | None = None


class Population(Struct, frozen=True):
    """Who may be scored."""

    words: str
    age_low: int
    exclude_conditions: tuple[str, ...]


class Feature(Struct, frozen=True):
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


class RequiredGroup(Struct, frozen=True):
    """At least so many of these inputs must be there."""

    name: str
    words: str
    members: tuple[str, ...]
    at_least: int


class Required(Struct, frozen=True):
    """Which inputs must be there for a score."""

    always: tuple[str, ...]
    groups: tuple[RequiredGroup, ...]


class Excluded(Struct, frozen=True):
    """One step of the cohort."""

    reason: str
    words: str
    count: int


class Cohort(Struct, frozen=True):
    """Who was trained on, and who was left out in which step."""

    words: str
    table_rows: int
    exclusions: tuple[Excluded, ...]
    n: int
    events: int


class Period(Struct, frozen=True):
    """Years of the training data and of the recalibration."""

    training: str
    recalibration: str


class Bin(Struct, frozen=True):
    """What happened to the reference cohort's people from `probability_low` on; `predicted` is their mean estimate."""

    probability_low: float
    percentile_low: float
    predicted: float
    count: int
    events: int
    rate: float
    low: float
    high: float


class Reference(Struct, frozen=True):
    """With whom a person is compared."""

    words: str
    n: int
    events: int
    bins: tuple[Bin, ...]


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


class Thresholds(Struct, frozen=True):
    """The default capacity and the table of what a setting may choose."""

    capacity: float
    table: tuple[Threshold, ...]

    @property
    def default(self) -> Threshold:
        """The row of the default capacity."""
        return next(row for row in self.table if row.capacity == self.capacity)


class Manifest(Struct, frozen=True, kw_only=True):
    """Everything a server, a card and a reader need to know about one model file."""

    format: str
    id: str
    version: str
    title: str
    file: File
    data: Data
    software: dict[str, str]
    seed: int
    outcome: Outcome
    intended_use: str
    users: str
    decision_role: str
    not_for: tuple[str, ...]
    cautions: tuple[str, ...]
    population: Population
    period: Period
    cohort: Cohort
    reference: Reference
    features: tuple[Feature, ...]
    required: Required
    link: str
    base: float
    thresholds: Thresholds
    evaluation: dict[str, Any]
    parity: dict[str, Any]
    estimator: str = "additive logistic regression (piecewise-linear in every input)"
    row_words: str = "people"
    twin: Twin | None = None
    horizons_years: tuple[float, ...] = ()
    """The columns of the outputs `risk` and `survival`, where the file has them."""

    def feature(self, name: str) -> Feature:
        """The input of that name; KeyError where there is none."""
        for item in self.features:
            if item.name == name:
                return item
        raise KeyError(name)


def encode(manifest: Manifest) -> bytes:
    """The manifest as it is written: indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
