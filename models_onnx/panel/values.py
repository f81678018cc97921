"""Reads columns of a table as numbers: numbers with their unit, yes and no, the sexes, codes with a few values.

What a chart's result would be refused for is refused here, too: "<5" is not an exact number and counts as missing, and
a value that nobody can have says that something is wrong. A coding that nobody declared is no guess: PanelRefused.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fhir.mapping.features.feature import Feature
from fhir.mapping.features.patient import Age, Sex
from fhir.terminology.analytes import Analyte, Conversion
from models_onnx.errors import PanelRefused
from models_onnx.panel.declaration import InputColumn, YesColumn

Values: TypeAlias = Sequence[Any] | NDArray[Any]
Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_ABSENT = frozenset({"", "na", "<na>", "n/a", "nan", "nat", "null", "none"})
_YES_NO = {"1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0, "true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
# FHIR administrative-gender; whoever is neither has no value of this input, as in a chart.
_SEXES = {"male": 1.0, "female": 0.0, "other": np.nan, "unknown": np.nan}
MISSING_CODE = re.compile(r"-1|-?(9{1,6}|8{1,6}|7{1,6}|9{1,5}[78])")
"""Numbers that often stand for a value that is not there, as `%g` writes them."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_ENOUGH_TO_JUDGE = 20
_SHARE_OF_A_SECOND_UNIT = 0.05
_FEWEST_OF_A_SECOND_UNIT = 5
_SHOWN = 20
# What Python takes for a number and nobody measured: yes as 1, bytes of text.
_NO_NUMBERS = frozenset({bool, np.bool_, bytes, bytearray})


def read_input(source: InputColumn, values: Values, units: Values | None = None) -> tuple[Array, Mask, Mask]:
    """The values of one input in its feature's unit (NaN missing), which were unreadable, and which implausible.

    `units` names the unit of each value, where the table has a column that does. As in a chart, a value without a unit,
    or in one that is not known for it, is not used and counts with the unreadable ones.

    Raises:
        PanelRefused: a value is in no declared coding, or the column as a whole is not what it is said to be.
    """
    feature, column = source.feature, source.column or ""
    if coded := _codes_of(feature, column):
        coded_values = _coded(values, coded, source.coding, f"{column} ({feature.words.lower()})")
        nothing: Mask = np.zeros(len(coded_values), dtype=np.bool_)
        return coded_values, nothing, nothing
    if source.coding is not None:
        values = [source.coding.get(str(value).strip(), value) for value in values]
    numbers, unreadable = _numbers(values)
    if source.conversion is not None:
        numbers = numbers * source.conversion.factor + source.conversion.offset
    if units is not None:
        numbers, strange = _in_units_of_rows(source, numbers, units)
        unreadable = unreadable | strange
    if isinstance(feature, Age):
        numbers = np.floor(numbers)  # completed years, as a chart gives them
    implausible = (numbers < feature.plausible_low) | (numbers > feature.plausible_high)
    if units is None:
        _refuse_column(feature, column, numbers, unreadable, implausible, source.conversion)
    return numbers, unreadable, implausible


def _in_units_of_rows(source: InputColumn, numbers: Array, units: Values) -> tuple[Array, Mask]:
    """Returns the numbers in the feature's unit by the unit that each row names, and those whose unit is not known.

    Raises:
        PanelRefused: most of the values have no known unit, so the column does not name units as it is said to.
    """
    analyte = source.feature.measured
    assert analyte is not None  # noqa: S101 - plan_of refuses a unit column for anything else
    coding = source.unit_coding or {}
    conversions: dict[str, Conversion | None] = {}
    factors, offsets = np.full(len(numbers), np.nan), np.zeros(len(numbers))
    for row in np.flatnonzero(~np.isnan(numbers)).tolist():
        text = _text(units[row])
        if text not in conversions:
            conversions[text] = analyte.conversion(coding.get(text, text)) if text.lower() not in _ABSENT else None
        conversion = conversions[text]
        if conversion is not None:
            factors[row], offsets[row] = conversion.factor, conversion.offset
    strange: Mask = ~np.isnan(numbers) & np.isnan(factors)
    if 2 * int(strange.sum()) > int((~np.isnan(numbers)).sum()):
        first = _text(units[int(np.flatnonzero(strange)[0])])
        raise PanelRefused(
            f"The column {source.unit_column} names no unit that is known for {source.feature.name} for most of its "
            f"values, as {first[:_SHOWN]!r}; known are: {', '.join(sorted(analyte.units))}. Say what it means by "
            f"--values {source.unit_column}=TEXT:UNIT."
        )
    return numbers * factors + offsets, strange


def other_units(source: InputColumn, values: Values) -> list[str]:
    """Units in which most values of a column could be as well, by their size alone; empty where its unit was declared.

    Nothing in the table can tell one of these from the unit that the column's name says.
    """
    measured = source.feature.measured
    if measured is None or source.conversion is not None or source.unit_column is not None:
        return []
    return [unit for unit in _units_that_fit(measured, _numbers(values)[0]) if not _is_own(measured, unit)]


def _is_own(analyte: Analyte, unit: str) -> bool:
    conversion = analyte.units[unit]
    return conversion.factor == 1.0 and conversion.offset == 0.0


def read_yes(source: YesColumn, values: Values) -> Mask:
    """Whom a column leaves out; a blank says nothing and leaves nobody out, as a chart without the condition."""
    yes: Mask = _coded(values, _YES_NO, source.coding, source.column) == 1.0
    return yes


def _codes_of(feature: Feature, column: str) -> dict[str, float]:
    """Returns what the values of a coded input mean, in lower case; empty for a number."""
    if isinstance(feature, Sex):
        # A column called sex may count the sexes in any way; only the name sex_male says what its 1 means.
        return {**_SEXES, **(_YES_NO if column == feature.name else {})}
    if feature.choices:
        numbered = {str(index): float(index) for index in range(len(feature.choices))}
        decimal = {f"{index}.0": value for index, value in numbered.items()}
        return {**numbered, **decimal, **{words.lower(): float(n) for n, words in enumerate(feature.choices)}}
    return _YES_NO if feature.is_yes_no else {}


def _coded(values: Values, codes: Mapping[str, float], declared: Mapping[str, str] | None, column: str) -> Array:
    meaning: dict[Any, float] = {}
    full = np.full(len(values), np.nan)
    for index, value in enumerate(values):
        try:
            number = meaning.get(value)
        except TypeError as error:
            raise PanelRefused(f"The column {column} holds lists or structures, not values.") from error
        if number is None:
            number = meaning[value] = _meaning(value, codes, declared, column)
        full[index] = number
    return full


def _meaning(value: Any, codes: Mapping[str, float], declared: Mapping[str, str] | None, column: str) -> float:
    text = _text(value)
    if declared is not None and text in declared:
        text = declared[text].strip()
    elif text.lower() in _ABSENT:
        return float("nan")
    if text.lower() in codes:
        return codes[text.lower()]
    name = column.partition(" ")[0]
    if codes is _YES_NO and _DATE.match(text):
        raise PanelRefused(
            f"The column {column} holds dates, and is asked for a yes or a no: write 1 where there is a date and 0 "
            "where there is none."
        )
    meanings = ", ".join(dict.fromkeys(codes))
    raise PanelRefused(
        f"The column {column} has the value {text[:_SHOWN]!r}, whose meaning nobody declared. Known are: {meanings}. "
        f"Say what it means: --values {name}={text[:_SHOWN]}:MEANING, where the meaning is one of these."
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(bool(value)) if isinstance(value, np.bool_) else str(value).strip()


def _numbers(values: Values) -> tuple[Array, Mask]:
    """Returns the numbers, NaN where there is none, and which of those were something else than blank."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        return values.astype(np.float64), np.zeros(len(values), dtype=np.bool_)
    numbers, unreadable = np.full(len(values), np.nan), np.zeros(len(values), dtype=np.bool_)
    for index, value in enumerate(values):
        if value is None or value == "":
            continue
        if type(value) in _NO_NUMBERS:
            unreadable[index] = True
            continue
        try:
            numbers[index] = float("x" if isinstance(value, str) and "_" in value else value)
        except (TypeError, ValueError):
            unreadable[index] = _text(value).lower() not in _ABSENT
    return numbers, unreadable


def _refuse_column(
    feature: Feature,
    column: str,
    numbers: Array,
    unreadable: Mask,
    implausible: Mask,
    conversion: Conversion | None,
) -> None:
    """PanelRefused where most of a column is unreadable or cannot be: then it is not what it is said to be."""
    count = int((~np.isnan(numbers)).sum())
    if int(unreadable.sum()) > count:
        raise PanelRefused(
            f"The column {column} ({feature.words.lower()}) has {int(unreadable.sum())} values that are no numbers and "
            f"{count} that are: write numbers with a decimal point, or leave them blank."
        )
    if count < _ENOUGH_TO_JUDGE:
        return
    if 2 * int(implausible.sum()) <= count:
        _refuse_two_units(feature, column, numbers, implausible, conversion)
        return
    plain = numbers if conversion is None else (numbers - conversion.offset) / conversion.factor
    fitting = _units_that_fit(feature.measured, plain) if feature.measured is not None else []
    proposal = f" It would fit in: {', '.join(fitting)} (--unit {column}=…)." if fitting else ""
    raise PanelRefused(
        f"Most values of the column {column} are outside {feature.plausible_low:g} to {feature.plausible_high:g} "
        f"{feature.unit}, which nobody's {feature.words.lower()} is: the column is in another unit or of something "
        f"else.{proposal}"
    )


def _refuse_two_units(
    feature: Feature, column: str, numbers: Array, implausible: Mask, conversion: Conversion | None
) -> None:
    """PanelRefused where what cannot be in the declared unit is enough to be a second one, and fits in it."""
    strange = numbers[implausible]
    values, counts = np.unique(strange, return_counts=True)
    commonest = float(values[counts.argmax()]) if len(values) and 2 * counts.max() > len(strange) else None
    if commonest is not None and MISSING_CODE.fullmatch(f"{commonest:g}"):
        strange = strange[strange != commonest]
    count = int((~np.isnan(numbers)).sum())
    if (
        feature.measured is None
        or len(strange) < _FEWEST_OF_A_SECOND_UNIT
        or len(strange) < _SHARE_OF_A_SECOND_UNIT * count
    ):
        return
    plain = strange if conversion is None else (strange - conversion.offset) / conversion.factor
    if fitting := _units_that_fit(feature.measured, plain):
        raise PanelRefused(
            f"The column {column} ({feature.words.lower()}) seems to be in two units: {len(strange)} of {count} values "
            f"are outside {feature.plausible_low:g} to {feature.plausible_high:g} {feature.unit} and would fit in "
            f"{', '.join(fitting)}. Others of them may fit in both and would be scored wrong: bring the column to one "
            f"unit first.{'' if commonest is None else f' Most are {commonest:g}: leave it blank if it is no value.'}"
        )


def _units_that_fit(analyte: Analyte, plain: Array) -> list[str]:
    values = plain[~np.isnan(plain)]
    fitting: dict[tuple[float, float], str] = {}
    for unit, conversion in analyte.units.items():
        canonical = values * conversion.factor + conversion.offset
        inside = (canonical >= analyte.plausible_low) & (canonical <= analyte.plausible_high)
        if 2 * int(inside.sum()) > len(values):
            fitting.setdefault((conversion.factor, conversion.offset), unit)
    return list(fitting.values())
