"""Reads Arrow columns as numbers: numbers with their unit, yes and no, the sexes, codes with a few values.

What a chart's result would be refused for is refused here, too: "<5" is not an exact number and counts as missing, and
a value that nobody can have says that something is wrong. Another coding is no guess: BatchRefused.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from fhir.mapping.features.feature import Feature
from fhir.mapping.features.patient import Age, Sex
from models_onnx.batch.plan import view_with
from models_onnx.errors import BatchRefused

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

ROWS_AT_ONCE = 20_000

_ABSENT = frozenset({"", "na", "<na>", "n/a", "nan", "nat", "null", "none"})
_YES_NO = {"1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0, "true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
# FHIR administrative-gender; whoever is neither has no value of this input, as in a chart.
_SEXES = {"male": 1.0, "female": 0.0, "other": np.nan, "unknown": np.nan}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
# Values of a column from which on it is judged; so many impossible ones, and this share, are of another unit.
_ENOUGH_TO_JUDGE = 20
_FEWEST_IMPOSSIBLE, _SHARE_IMPOSSIBLE = 5, 0.05
_SHOWN = 20


def arrow() -> Any:
    """Return the library pyarrow; BatchRefused names the extra where it is not installed."""
    try:
        import pyarrow
        import pyarrow.compute  # noqa: F401 - it is used as pyarrow.compute
    except ModuleNotFoundError as error:
        raise BatchRefused("This needs pyarrow, which is not installed: pip install cds-hooks-onnx[batch].") from error
    return pyarrow


class Column(Struct, frozen=True):
    """A column of a table: its numbers (NaN missing), or its different texts and the place of each row's among them.

    The place -1 is that of a row without a text.
    """

    numbers: Array | None
    texts: tuple[str, ...] = ()
    places: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    @property
    def as_texts(self) -> "Column":
        """The same with numbers as texts, where a number is a code."""
        if self.numbers is None:
            return self
        different, places = np.unique(self.numbers, return_inverse=True)
        return Column(None, tuple(f"{number:.15g}" for number in different.tolist()), places)

    def values_by(self, value_of: Callable[[str], float]) -> Array:
        """Return what a function makes of the text of each row; NaN where there is none."""
        values = np.array([*map(value_of, self.texts), np.nan], dtype=np.float64)
        return np.asarray(values[self.places])


def column_of(values: Any, name: str) -> Column:
    """Return an Arrow column; BatchRefused where it holds lists, structures or bytes."""
    pyarrow = arrow()
    kind, types = values.type, pyarrow.types
    if types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        raise BatchRefused(f"The column {name} holds lists, structures or bytes, not values.")
    if types.is_floating(kind) or types.is_integer(kind) or types.is_decimal(kind) or types.is_null(kind):
        numbers = values.cast(pyarrow.float64())
        plain = numbers.combine_chunks() if isinstance(numbers, pyarrow.ChunkedArray) else numbers
        return Column(np.array(plain.to_numpy(zero_copy_only=False), dtype=np.float64))
    encoded = values.cast(pyarrow.string()).dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pyarrow.ChunkedArray) else encoded
    places = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Column(None, tuple(text.strip() for text in encoded.dictionary.to_pylist()), places)


def read_input(feature: Feature, name: str, column: Column) -> tuple[Array, Mask, Mask]:
    """Return the values of one input in its feature's unit (NaN missing), which were unreadable, and which implausible.

    Raises:
        BatchRefused: a value is in no known coding, or the column as a whole is not what it is said to be.
    """
    if codes := _codes_of(feature, name):
        coded_values = _coded(column, codes, f"{name} ({feature.words.lower()})")
        nothing: Mask = np.zeros(len(coded_values), dtype=np.bool_)
        return coded_values, nothing, nothing
    numbers, unreadable = _numbers(column)
    if isinstance(feature, Age):
        numbers = np.floor(numbers)  # completed years, as a chart gives them
    implausible = (numbers < feature.plausible_low) | (numbers > feature.plausible_high)
    _refuse_column(feature, name, numbers, unreadable, implausible)
    return numbers, unreadable, implausible


def read_yes(name: str, column: Column) -> Mask:
    """Whom a column leaves out; a blank says nothing and leaves nobody out, as a chart without the condition."""
    yes: Mask = _coded(column, _YES_NO, name) == 1.0
    return yes


def _codes_of(feature: Feature, column: str) -> dict[str, float]:
    """Return what the values of a coded input mean, in lower case; empty for a number."""
    if isinstance(feature, Sex):
        # A column called sex may count the sexes in any way; only the name sex_male says what its 1 means.
        return {**_SEXES, **(_YES_NO if column == feature.name else {})}
    if feature.choices:
        numbered = {str(index): float(index) for index in range(len(feature.choices))}
        decimal = {f"{index}.0": value for index, value in numbered.items()}
        return {**numbered, **decimal, **{words.lower(): float(n) for n, words in enumerate(feature.choices)}}
    return _YES_NO if feature.is_yes_no else {}


def _coded(column: Column, codes: Mapping[str, float], name: str) -> Array:
    return column.as_texts.values_by(lambda text: _meaning(text, codes, name))


def _meaning(text: str, codes: Mapping[str, float], column: str) -> float:
    if text.lower() in _ABSENT:
        return np.nan
    if text.lower() in codes:
        return codes[text.lower()]
    name = column.partition(" ")[0]
    if codes is _YES_NO and _DATE.match(text):
        raise BatchRefused(
            f"The column {column} holds dates, and is asked for a yes or a no: write 1 where there is a date and 0 "
            "where there is none."
        )
    meanings = ", ".join(dict.fromkeys(codes))
    view = view_with(name, f"CASE {name} WHEN '{text[:_SHOWN]}' THEN 'one of these' END")
    raise BatchRefused(
        f"The column {column} has the value {text[:_SHOWN]!r}, whose meaning is not known. Known are: {meanings}. Say "
        f"in a view (--view) what it means: {view}."
    )


def _numbers(column: Column) -> tuple[Array, Mask]:
    """Return the numbers, NaN where there is none, and which of those were something else than blank."""
    if column.numbers is not None:
        return column.numbers, np.zeros(len(column.numbers), dtype=np.bool_)
    unreadable = np.array([_number(text) is None for text in column.texts] + [False], dtype=np.bool_)
    numbers = column.values_by(lambda text: np.nan if (number := _number(text)) is None else number)
    return numbers, unreadable[column.places]


def _number(text: str) -> float | None:
    """Return the number that a text is, NaN for one that says that there is none, and None for any other text."""
    if text.lower() in _ABSENT:
        return np.nan
    try:
        return float("x" if "_" in text else text)
    except ValueError:
        return None


def _refuse_column(feature: Feature, column: str, numbers: Array, unreadable: Mask, implausible: Mask) -> None:
    """BatchRefused where too much of a column is unreadable or cannot be: then it is not what it is said to be."""
    count, strange = int((~np.isnan(numbers)).sum()), int(implausible.sum())
    if int(unreadable.sum()) > count:
        raise BatchRefused(
            f"The column {column} ({feature.words.lower()}) has {int(unreadable.sum())} values that are not numbers "
            f"and {count} that are: write numbers with a decimal point, or leave them blank.{_known_units(feature)}"
        )
    if count < _ENOUGH_TO_JUDGE or strange < max(_FEWEST_IMPOSSIBLE, _SHARE_IMPOSSIBLE * count):
        return
    view = view_with(column, f"{feature.name}({column}, 'UNIT')")
    raise BatchRefused(
        f"{strange} of {count} values of the column {column} are outside {feature.plausible_low:g} to "
        f"{feature.plausible_high:g} {feature.unit}, which nobody's {feature.words.lower()} is. A column is in one "
        f"unit: say which in a view (--view), {view}, convert the rows that are in another one, and leave blank what "
        "is no value."
    )


def _known_units(feature: Feature) -> str:
    """Name the units of a view's conversion, where there is one: a value in another unit stays a text."""
    units = feature.measured.units if feature.measured is not None else ()
    return f" Units of {feature.name}(value, unit) are: {', '.join(sorted(units))}." if units else ""
