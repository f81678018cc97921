"""A whole column in another unit than the feature's: found by what is plausible."""

import numpy as np
from numpy.typing import NDArray

from fhir.mapping.features.catalog import FEATURES

Array = NDArray[np.float64]
# Of a column in its own unit hardly any value is implausible, of one in another unit most are.
_MOST = 0.5
_LEAST = 20


def column_in_another_unit(name: str, x: Array) -> str | None:
    """Say that most values of a feature's column are implausible; None where they are not, or are fewer than 20."""
    feature, values = FEATURES[name], x[~np.isnan(x)]
    if len(values) < _LEAST or not _outside(name, values) > _MOST:
        return None
    low, high = feature.plausible_low, feature.plausible_high
    return (
        f"{name}: {_outside(name, values):.0%} of its values are outside {low:g} to {high:g} {feature.unit}, their "
        f"middle is {float(np.median(values)):.4g}: is it another unit, or another column? Have derived[{name!r}] give "
        f"its values in {feature.unit}, or convert the column"
    )


def _outside(name: str, values: Array) -> float:
    low, high = FEATURES[name].plausible_low, FEATURES[name].plausible_high
    return float(((values < low) | (values > high)).mean())
