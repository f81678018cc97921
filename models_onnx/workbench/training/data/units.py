"""A whole column in another unit than the feature's: found by what is plausible, with a unit that explains it."""

import numpy as np
from numpy.typing import NDArray

from fhir.mapping.features.catalog import FEATURES

Array = NDArray[np.float64]
# Of a column in its own unit hardly any value is implausible, of one in another unit most are.
_MOST = 0.5
_MISFITS = 0.1
_LEAST = 20


def column_in_another_unit(name: str, x: Array, *, is_derived: bool = False) -> str | None:
    """Say that most values of a feature's column are implausible, with a proposal where one unit explains it.

    None where the column is plausible, or has fewer than 20 values. `is_derived`: the declaration says already how the
    values are read.
    """
    feature, values = FEATURES[name], x[~np.isnan(x)]
    if len(values) < _LEAST or not _outside(name, values) > _MOST:
        return None
    low, high = feature.plausible_low, feature.plausible_high
    sentence = (
        f"{name}: {_outside(name, values):.0%} of its values are outside {low:g} to {high:g} {feature.unit}, their "
        f"middle is {float(np.median(values)):.4g}"
    )
    units = feature.measured.units if feature.measured is not None else {}
    units_by_conversion: dict[tuple[float, float], str] = {}  # the usual units come first, and their first name
    for unit, conversion in units.items():
        units_by_conversion.setdefault((conversion.factor, conversion.offset), unit)
    fitting = [
        (unit, factor, offset)
        for (factor, offset), unit in units_by_conversion.items()
        if _outside(name, values * factor + offset) <= _MISFITS
    ]
    if not fitting:
        return f"{sentence}: is it another unit, or another column?"
    unit, factor, offset = fitting[0]
    plus = f" + {offset:g}" if offset else ""
    if is_derived:
        return f"{sentence}: it looks like {unit}. If it is, have derived[{name!r}] give its values * {factor:g}{plus}"
    read = f"derived={{{name!r}: lambda table: table['{name}'] * {factor:g}{plus}}}"
    return f"{sentence}: it looks like {unit}. If it is, write {read} in the declaration, or convert the column"


def _outside(name: str, values: Array) -> float:
    low, high = FEATURES[name].plausible_low, FEATURES[name].plausible_high
    return float(((values < low) | (values > high)).mean())
