"""Calculates an equation: from given inputs, or a patient's record, to the value with its working and its band.

Inputs are converted to the units of the equation and must be inside its limits; nothing is clamped. A refusal says why.
What a record was searched for and does not hold counts as no and is named: "not found in the chart". What could not be
searched, and who is excluded, gives no value.
"""

from collections.abc import Callable, Mapping
from itertools import product
from sys import float_info
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from fhir.mapping.equations import Sex
from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import Feature, FeatureValue, FeatureVector, Missing, map_features
from fhir.mapping.features.measured import EstimatedGFR
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from models_onnx.equations.arithmetic import Value, Working
from models_onnx.equations.declaration import Band, BandTable, Equation, EquationInput, EquationOutput, ObservedRates
from models_onnx.errors import EquationRefused

_ROUNDING = 1e-9  # a converted value at a limit need not be the limit in binary


def read_inputs(equation: Equation, inputs: Mapping[str, Any], output: EquationOutput) -> dict[str, Value]:
    """Every input of this output, checked; EquationRefused names the first that is missing, unusable or out of range.

    What is given and not needed for this output must be in range all the same: it says that this is somebody whom the
    equation was not made for. A name that is no input is refused.
    """
    if not inputs.keys() <= equation.inputs_by_name.keys():
        strange = sorted(inputs.keys() - equation.inputs_by_name.keys())
        raise EquationRefused(
            "input-unusable",
            f"{equation.id} has no input {', '.join(strange)}; its inputs are {', '.join(equation.inputs_by_name)}.",
            tuple(strange),
        )
    values: dict[str, Value] = {}
    for item in equation.inputs:
        value = inputs.get(item.name)
        if value is not None:
            values[item.name] = read_input(equation.title, item, value)
        elif item.is_needed_for(output.id):
            raise EquationRefused("input-missing", f"{equation.title}: {item.words} is missing.", (item.name,))
    return values


def read_input(title: str, item: EquationInput, raw: Any) -> Value:
    """Return one value in the input's unit; EquationRefused where it cannot be used or is outside the limits."""
    if item.kind == "choice":
        return _choice(title, item, raw)
    if item.kind == "yes-no":
        return _yes_no(title, item, raw)
    value = _number(title, item, raw)
    if item.kind == "whole" and value != int(value):
        raise EquationRefused("input-unusable", f"{title}: {item.words} {value:g} is not a whole number.", (item.name,))
    slack = _ROUNDING * abs(value)
    if (item.low is not None and value < item.low - slack) or (item.high is not None and value > item.high + slack):
        raise EquationRefused(
            "out-of-range", f"{title}: {item.words} {value:g}{item.unit_text} is outside {limits(item)}.", (item.name,)
        )
    return value


def limits(item: EquationInput) -> str:
    """Return the limits in words: '90 to 200', 'from 0', 'up to 9'."""
    if item.low is None:
        return "no limits" if item.high is None else f"up to {item.high:g}"
    return f"from {item.low:g}" if item.high is None else f"{item.low:g} to {item.high:g}"


def _choice(title: str, item: EquationInput, raw: Any) -> str:
    if isinstance(raw, str) and raw in item.choices:
        return raw
    text = f"{title}: {item.words} must be {' or '.join(item.choices)}."
    raise EquationRefused("input-unusable", text, (item.name,))


def _yes_no(title: str, item: EquationInput, raw: Any) -> bool:
    if raw in (0, 1):
        return bool(raw)
    raise EquationRefused("input-unusable", f"{title}: {item.words} must be true or false, or 1 or 0.", (item.name,))


def _number(title: str, item: EquationInput, raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not abs(raw) <= float_info.max:
        raise EquationRefused("input-unusable", f"{title}: {item.words} must be a number.", (item.name,))
    return float(raw)


class EquationResult(Struct, frozen=True):
    """One output of one equation for one person."""

    equation: Equation
    output: EquationOutput
    values: Mapping[str, Value]
    working: Working
    band: Band | None
    table: BandTable | None

    @property
    def value(self) -> float:
        """The published value: a probability, a quantity or points."""
        return self.working.value

    @property
    def number(self) -> float:
        """The value as a number that is no whole one."""
        return float(self.value)

    @property
    def band_id(self) -> str:
        """The id of the band; "" for an output without bands."""
        return self.band.id if self.band is not None else ""

    @property
    def band_words(self) -> str:
        """The words of the band; "" for an output without bands."""
        return self.band.words if self.band is not None else ""

    def rates(self) -> list[tuple[ObservedRates, float]]:
        """Return what was observed at this score, where the papers say; scores without a figure give none."""
        return [(rate, rate.of[int(self.number)]) for rate in self.equation.rates if int(self.number) in rate.of]


def calculate(equation: Equation, inputs: Mapping[str, Any], output: str | None = None) -> EquationResult:
    """Return one output (the first for None) from inputs by name.

    `inputs` are numbers in the equation's units.

    Raises:
        EquationRefused: an input is missing, unusable or outside its limits, or the equation is not for this person.
        KeyError: the equation has no such output.
    """
    wanted = equation.output(output)
    values = read_inputs(equation, inputs, wanted)
    for narrower in equation.narrower:
        value = values.get(narrower.input)
        if value is not None and narrower.leaves_out(wanted.id, float(value)):
            text = f"{equation.title}: {narrower.words}; here it is {value:g}."
            raise EquationRefused("outside-population", text, (narrower.input,))
    working = equation.work_out(wanted.id, values)
    band_and_table = equation.band(wanted.id, float(working.value), values)
    table, band = band_and_table if band_and_table is not None else (None, None)
    return EquationResult(equation, wanted, values, working, band, table)


class RecordInputs(Struct, frozen=True):
    """The inputs of one equation as one record has them.

    `given` are the values by name; `evidence` where each was found; `missing` why an input has none; `not_found` the
    yes-or-no inputs that were looked for and not found (they are given as no); `excluded` says who this is not for.
    """

    equation: Equation
    given: Mapping[str, Value]
    evidence: Mapping[str, FeatureValue]
    missing: Mapping[str, Missing]
    not_found: tuple[EquationInput, ...]
    excluded: WhyNot | None
    vector: FeatureVector | None = None
    """Everything that was read for it, as the record of a decision keeps it."""

    def with_given(self, values: Mapping[str, Any]) -> "RecordInputs":
        """Return the same with values that were given in place of those of the record."""
        missing = {name: why for name, why in self.missing.items() if name not in values}
        return replace(self, given={**self.given, **values}, missing=missing)

    def of_each_sex(self, record: PatientRecord, output: str) -> tuple["RecordInputs", ...]:
        """Return the inputs of a woman and of a man where nothing but the sex is missing; nothing otherwise.

        An eGFR that needs the sex is estimated for each. The sex itself has no evidence: nothing says it is charted.
        """
        if self.excluded is not None or "sex" not in self.missing_inputs(output):
            return ()
        both = (self._as("female", record), self._as("male", record))
        return () if any(inputs.missing_inputs(output) for inputs in both) else both

    def _as(self, sex: Sex, record: PatientRecord) -> "RecordInputs":
        estimated: dict[str, FeatureValue] = {}
        for name in self.missing:
            feature = FEATURES.get(self.equation.input(name).feature or "")
            reading = feature.read_as(record, sex) if isinstance(feature, EstimatedGFR) else None
            if isinstance(reading, FeatureValue):
                estimated[name] = reading
        values = {"sex": sex, **{name: reading.value for name, reading in estimated.items()}}
        return replace(self.with_given(values), evidence={**self.evidence, **estimated})

    def calculate(self, output: str | None = None) -> EquationResult:
        """Return the result; EquationRefused where somebody is excluded, or an input is missing or out of range.

        A missing input is refused with the reason the record gives: not recorded, too old, not usable.
        """
        if self.excluded is not None:
            raise EquationRefused(self.excluded.reason, self.excluded.text, self.excluded.about)
        wanted = self.equation.output(output).id
        for item in self.equation.inputs:
            if item.name in self.missing and item.is_needed_for(wanted):
                text = f"{self.equation.title}: {self.missing[item.name].text}"
                raise EquationRefused("input-missing", text, (item.name,))
        return calculate(self.equation, self.given, output)

    def could_reach(self, output: str, reaches: Callable[[EquationResult], bool]) -> bool:
        """Return whether the result could be one that `reaches`, whatever the missing inputs turn out to be.

        Tried at both ends of the limits of each missing number: every equation here rises or falls along each input.
        """
        names = self.missing_inputs(output)
        limits = [(self.equation.input(name).low, self.equation.input(name).high) for name in names]
        ranges = [(low, high) for low, high in limits if low is not None and high is not None]
        if len(ranges) < len(names):
            return True
        if self.excluded is not None:
            return False
        for ends in product(*ranges):
            try:
                if reaches(calculate(self.equation, {**self.given, **dict(zip(names, ends, strict=True))}, output)):
                    return True
            except EquationRefused:
                continue
        return False

    def missing_inputs(self, output: str | None = None) -> tuple[str, ...]:
        """Return the names of the inputs of this output that the record does not give."""
        wanted = self.equation.output(output).id
        return tuple(
            item.name for item in self.equation.inputs if item.name in self.missing and item.is_needed_for(wanted)
        )


def features_of(*equations: Equation) -> tuple[Feature, ...]:
    """Return every feature that these equations read from a record: inputs and exclusions, each once."""
    return tuple({feature.name: feature for equation in equations for feature in equation.features}.values())


class FeatureReadings(dict[str | None, FeatureValue | Missing | None]):
    """What the record says of each feature by name, or why it is missing; None for a name that nobody declared.

    A feature that is not there yet is read when an equation first asks for it: most equations refuse before the last.
    Over 40 charts and all equations this takes 1.2 ms a chart, and 1.9 where all features are read first.
    """

    def __init__(self, record: PatientRecord, features: Mapping[str, Feature]) -> None:
        super().__init__()
        self._record, self._features = record, features

    def __missing__(self, name: str | None) -> FeatureValue | Missing | None:
        feature = self._features.get(name or "")
        reading = self[name] = feature.read(self._record) if feature is not None else None
        return reading


def inputs_from_record(
    equation: Equation,
    record: PatientRecord,
    site: Mapping[str, Value] | None = None,
    vector: FeatureVector | None = None,
) -> RecordInputs:
    """Return the inputs as the record has them; `site` gives those that are of the site, not of the patient.

    `vector` holds at least the features of this equation, where they were read already.
    """
    vector = vector if vector is not None else map_features(record, equation.features)
    readings = FeatureReadings(record, {})
    readings.update({feature.name: value for feature, value in zip(vector.features, vector.evidence, strict=True)})
    readings.update({missing.feature.name: missing for missing in vector.missing})
    return inputs_from_features(equation, readings, site, vector)


def inputs_from_features(
    equation: Equation,
    features: FeatureReadings,
    site: Mapping[str, Value] | None = None,
    vector: FeatureVector | None = None,
) -> RecordInputs:
    """Return the same from features that are read already, or when they are asked for."""
    given: dict[str, Value] = dict(site or {})
    evidence: dict[str, FeatureValue] = {}
    missing: dict[str, Missing] = {}
    not_found: list[EquationInput] = []
    for item in equation.inputs:
        if item.name in given:
            continue
        reading = features[item.feature]
        if isinstance(reading, FeatureValue):
            given[item.name], evidence[item.name] = _value(item, reading), reading
            not_found += [item] if not reading.is_found else []
        elif isinstance(reading, Missing):
            missing[item.name] = reading
        elif item.kind == "yes-no":  # nothing in a record says it
            given[item.name] = False
            not_found.append(item)
    excluded = _excluded(equation, features)
    return RecordInputs(equation, given, evidence, missing, tuple(not_found), excluded, vector)


def _value(item: EquationInput, reading: FeatureValue) -> Value:
    if item.kind == "choice":  # sex is the only one that a record gives
        return "male" if reading.value else "female"
    return bool(reading.value) if item.kind == "yes-no" else reading.value


def why_excluded(equation: Equation, record: PatientRecord) -> WhyNot | None:
    """Return why the equation is not for this patient; only what says so is read of the record."""
    return _excluded(equation, FeatureReadings(record, FEATURES))


def _excluded(equation: Equation, features: FeatureReadings) -> WhyNot | None:
    for name, words in equation.excluded_by:
        reading = features[name]
        if type(reading) is Missing:
            text = f"{equation.title}: not for {words}, and that cannot be told. {reading.text}"
            return WhyNot(equation.id, "excluded", text, (name,))
        if type(reading) is FeatureValue and reading.value:
            text = f"{equation.title}: not for {words}; {FEATURES[name].words.lower()} is on record."
            return WhyNot(equation.id, "excluded", text, (name,))
    return _not_for(equation, features) if equation.only_with else None


def _not_for(equation: Equation, features: FeatureReadings) -> WhyNot | None:
    for name in equation.only_with:
        reading = features[name]
        if type(reading) is FeatureValue and reading.value:
            return None
    words = " or ".join(FEATURES[name].words.lower() for name in equation.only_with)
    text = f"{equation.title}: for {equation.population}; {words} is not found in the chart."
    return WhyNot(equation.id, "outside-population", text, equation.only_with)
