"""Whom a model is about and what it predicts: outcome, cohort, inputs, population and periods."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from fhir.mapping.features.catalog import FEATURES
from models_onnx.artifact.manifest import DAYS_PER_YEAR

# A column of a training table; pandas is named only in models_onnx.workbench.training, so that serving never needs it.
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
    its line bends, instead of at quantiles; for a code each value is a knot.
    """

    name: str
    clip_high: float | None = None
    knots: tuple[float, ...] | None = None

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
class Period:
    """The rows whose `column` lies between `since` and `until`, both included."""

    column: str
    since: float
    until: float
    words: str

    def rows(self, table: Any) -> Any:
        """Return a mask of the rows of the table in this period."""
        return (table[self.column] >= self.since) & (table[self.column] <= self.until)


Recalibration: TypeAlias = Period
"""Intercept and slope are re-estimated, out of fold, on the rows of this period: the reference cohort."""
