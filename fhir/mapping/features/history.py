"""Features that a site declares over all values of a quantity within a window: least, mean, trend, time since, number.

Values are those of the record: in the unit of the quantity, within its plausible range, measured no later than the
moment asked. At most the newest `MOST_VALUES` are read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from statistics import fmean, median, stdev
from typing import Final, Literal, TypeAlias, get_args

from fhir.mapping.features.feature import Feature, FeatureValue, Missing, charted_number
from fhir.mapping.stays import stays_in_hospital
from fhir.record.datatypes import DAY_SECONDS
from fhir.record.facts import Found
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from fhir.terminology.analytes import ANALYTES

FEATURES: tuple[Feature, ...] = ()

Statistic: TypeAlias = Literal[
    "newest", "first", "minimum", "maximum", "mean", "median", "slope", "variability", "days_since", "number"
]
Where: TypeAlias = Literal["anywhere", "in_stays", "outside_stays"]
MOST_VALUES: Final = 500
_HOUR_SECONDS: Final = 3600.0
_ONE_VALUE: Final = frozenset({"newest", "first", "minimum", "maximum"})
_PLACES: Final[dict[Where, str]] = {
    "anywhere": "",
    "in_stays": " in a stay in hospital",
    "outside_stays": " outside stays in hospital",
}


@dataclass(frozen=True, eq=False)
class History(Feature):
    """One statistic of the values of `quantity` (a key of tables/analytes.csv) within the window.

    `last`: of the newest so many values only (0: of all). `where`: of values of stays in hospital, or of the others.
    The slope is the least-squares line's, in the unit per day; variability is the standard deviation.
    """

    quantity: str = ""
    statistic: Statistic = "newest"
    last: int = 0
    where: Where = "anywhere"

    @property
    def analytes(self) -> tuple[str, ...]:
        """The quantity."""
        return (self.quantity,)

    @property
    def codes(self) -> tuple[str, ...]:
        """Its LOINC codes."""
        return ANALYTES[self.quantity].loinc

    @property
    def resources(self) -> frozenset[str]:
        """Stays, where values are told apart by them."""
        return frozenset() if self.where == "anywhere" else frozenset({"Encounter"})

    @property
    def source_words(self) -> str:
        """The codes, and which statistic of which values."""
        of_last = f" of the last {self.last} values" if self.last else ""
        return f"{', '.join(self.codes)}; {self.statistic.replace('_', ' ')}{of_last}{_PLACES[self.where]}"

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the statistic with the dated values that made it; missing where there are too few."""
        if not record.was_requested(self.quantity) or not all(map(record.was_requested, self.resources)):
            return self.not_requested()
        values = self._values(record)
        if self.statistic == "number":
            newest = values[0] if values else None
            words = f"{len(values)} {'value' if len(values) == 1 else 'values'} in {self.window_days} days"
            return self._value(float(len(values)), words, newest, record)
        if not values:
            lookup = record.lookup(self.quantity, self.window_days)
            if isinstance(lookup, Found):
                return Missing(self, "absent", f"{self.words}: not recorded{_PLACES[self.where]}.")
            return self.missing_measurement(lookup)
        if self.statistic == "days_since":
            whole = values[0].whole_days(record.as_of_epoch)
            words = f"{whole} {'day' if whole == 1 else 'days'} (since {values[0].time.date})"
            return self._value(values[0].age_days(record.as_of_epoch), words, values[0], record)
        if self.statistic in _ONE_VALUE:
            measurement = _PICKED[self.statistic](values)
            return self._value(
                measurement.value, f"{_shown(measurement)} on {measurement.time.date}", measurement, record
            )
        return self._over_values(values, record)

    def show(self, feature_value: FeatureValue) -> str:
        """Return the value in words with the dated values that made it."""
        return feature_value.charted_unit

    def lint(self) -> list[str]:
        """Faults of the declaration; a quantity and a window must be given."""
        faults = Feature.lint(self)
        if self.quantity not in ANALYTES:
            faults.append(f"{self.name}: analyte {self.quantity!r} is not in tables/analytes.csv, so it has no code")
        if self.statistic not in get_args(Statistic):
            faults.append(f"{self.name}: there is no statistic {self.statistic!r}")
        return faults + ([] if self.window_days else [f"{self.name}: has no window in days"])

    def _values(self, record: PatientRecord) -> list[Measurement]:
        """Return the values of the window, the newest first: those that `lookup` finds, of so many completed days."""
        window = self.window_days
        assert window is not None  # noqa: S101 - checked by lint
        epoch = record.as_of_epoch
        since = record.measurements_since(self.quantity, epoch - (window + 1) * DAY_SECONDS)
        values = [measurement for measurement in since if measurement.whole_days(epoch) <= window][:MOST_VALUES]
        if self.where != "anywhere":
            spans = [(stay.start.instant, stay.until(record.as_of_epoch)) for stay in stays_in_hospital(record)]
            in_stay = self.where == "in_stays"
            values = [measurement for measurement in values if _is_within(measurement, spans) is in_stay]
        return values[: self.last] if self.last else values

    def _over_values(self, values: Sequence[Measurement], record: PatientRecord) -> FeatureValue | Missing:
        newest, oldest = values[0], values[-1]
        numbers = [measurement.value for measurement in values]
        if self.statistic in ("mean", "median"):
            value = (fmean if self.statistic == "mean" else median)(numbers)
        elif len(values) < 2 or (self.statistic == "slope" and newest.time.instant == oldest.time.instant):
            text = f"{self.words}: {_shown(newest)} on {newest.time.date} is the only value in {self.window_days} days."
            return Missing(self, "absent", text)
        else:
            value = _slope(values) if self.statistic == "slope" else stdev(numbers)
        return self._value(value, self._words(value, values), newest, record)

    def _words(self, value: float, values: Sequence[Measurement]) -> str:
        newest, oldest, unit = values[0], values[-1], ANALYTES[self.quantity].unit
        if self.statistic == "slope":
            moved = "rose" if newest.value > oldest.value else "fell" if newest.value < oldest.value else "stayed"
            days = (newest.time.instant - oldest.time.instant) / DAY_SECONDS
            in_days = f"{days:.0f} {'day' if round(days) == 1 else 'days'}" if days >= 1 else f"{24 * days:.0f} hours"
            change = f"{charted_number(oldest.value)} to {charted_number(newest.value)} {unit}"
            return f"{moved} from {change} in {in_days} ({oldest.time.date} to {newest.time.date})"
        spread = (
            f"{charted_number(min(e.value for e in values))} to {charted_number(max(e.value for e in values))} {unit}"
        )
        number = f"{len(values)} {'value' if len(values) == 1 else 'values'}"
        name = "standard deviation" if self.statistic == "variability" else self.statistic
        return (
            f"{charted_number(value)} {unit}, {name} of {number} of {spread} ({oldest.time.date} to {newest.time.date})"
        )

    def _value(self, value: float, words: str, of: Measurement | None, record: PatientRecord) -> FeatureValue:
        if of is None:
            return self.of_chart(record, value, words)
        return FeatureValue(self, value, of.time.text, of.source, of.code, value, words)


@dataclass(frozen=True, eq=False)
class StepValue(Feature):
    """The newest value measured between `begin_hours` and `end_hours` before the moment asked, the end included."""

    begin_hours: float = 0.0
    end_hours: float = 0.0

    @property
    def source_words(self) -> str:
        """The codes, and which hours."""
        return f"{', '.join(self.codes)}; newest value {self.begin_hours:g} to {self.end_hours:g} hours before"

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the value with its time; missing where nothing was measured in the step."""
        if not record.was_requested(self.analyte):
            return self.not_requested()
        begin, end = (record.as_of_epoch - hours * _HOUR_SECONDS for hours in (self.begin_hours, self.end_hours))
        for measurement in record.measurements_since(self.analyte, begin):
            if begin < measurement.time.instant <= end:
                return self.of_measurement(measurement)
        return Missing(self, "absent", f"{self.words}: not recorded.")


def unit_of(statistic: Statistic, quantity: str) -> str:
    """Return the unit of a statistic of a quantity (UCUM)."""
    unit = ANALYTES[quantity].unit
    return {"slope": f"{unit}/d", "days_since": "d", "number": "1"}.get(statistic, unit)


def range_of(statistic: Statistic, quantity: str, window_days: int) -> tuple[float, float]:
    """Between which values a statistic of a quantity can lie."""
    analyte = ANALYTES[quantity]
    width = analyte.plausible_high - analyte.plausible_low
    ranges = {
        "slope": (-width * DAY_SECONDS, width * DAY_SECONDS),
        "variability": (0.0, width),
        "days_since": (0.0, window_days + 1.0),
        "number": (0.0, float(MOST_VALUES)),
    }
    return ranges.get(statistic, (analyte.plausible_low, analyte.plausible_high))


_PICKED: Final[dict[str, Callable[[Sequence[Measurement]], Measurement]]] = {
    "newest": itemgetter(0),
    "first": itemgetter(-1),
    "minimum": lambda values: min(values, key=attrgetter("value")),
    "maximum": lambda values: max(values, key=attrgetter("value")),
}


def _shown(measurement: Measurement) -> str:
    return f"{charted_number(measurement.charted_value)} {measurement.charted_unit}".rstrip()


def _is_within(measurement: Measurement, spans: Sequence[tuple[float, float]]) -> bool:
    return any(begin <= measurement.time.instant <= end for begin, end in spans)


def _slope(values: Sequence[Measurement]) -> float:
    """Return the slope of the least-squares line through the values, per day."""
    days = [(measurement.time.instant - values[-1].time.instant) / DAY_SECONDS for measurement in values]
    middle, level = fmean(days), fmean(measurement.value for measurement in values)
    along = sum((day - middle) ** 2 for day in days)
    pairs = zip(days, values, strict=True)
    return sum((day - middle) * (measurement.value - level) for day, measurement in pairs) / along
