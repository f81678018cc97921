"""A new version of a declared model, from the table of `cds-hooks data --followed`: NAME@VERSION.renewal.json.

The declared estimator is trained on the table; of a model that was fitted elsewhere intercept and slope are.

The new version has the inputs, the outcome and the population of its declaration. Whoever stands in the table was
estimated by the model, so nobody is left out, and every input has the column of its own name.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from models_onnx.errors import DeclarationError
from models_onnx.spec.cohort import ColumnOf, Recalibration
from models_onnx.spec.estimators import Fitted
from models_onnx.spec.model_file import bands_of

RENEWAL = "{name}.renewal.json"
"""Beside the declarations, for a version `id@version`."""
_NOT_RECORDED = "not recorded"
_BANDS = (0, 10, 20, 30, 40, 50, 60, 70, 80)

Declared = TypeVar("Declared")


class Renewal(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a version is made again: on which table."""

    version: str
    table: str
    years: str
    groups: tuple[str, ...] = ()
    """Columns of race and ethnicity in which the table has a value."""


def read_renewal(name: str, folder: Path) -> Renewal | None:
    """Return the renewal of this version; None where it has none.

    Raises:
        DeclarationError: The file cannot be read.
    """
    path = folder / RENEWAL.format(name=name)
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Renewal)
    except msgspec.DecodeError as problem:
        raise DeclarationError(f"{path.name} cannot be read: {problem}") from problem


def renewed_spec(spec: Declared, renewal: Renewal) -> Declared:
    """Return the declaration of the new version.

    Raises:
        DeclarationError: Its estimator cannot be trained on a table with outcomes at one horizon.
    """
    declared: Any = spec
    people = f"people whose risk was estimated here, {renewal.years}"
    changes: dict[str, Any] = {
        "version": renewal.version,
        "table": renewal.table,
        "text": False,
        "period": renewal.years,
        "cohort_words": f"{declared.row_words} in the record of this site, with what happened after them",
        "reference_words": people,
        "outcome": replace(declared.outcome, of=None, follow_up=None),
        "exclusions": (),
        "derived": {},
        "needs": {},
        "recalibration": _recalibration(declared, renewal),
        "newest": None,
        "subgroups": _axes(declared.feature_names, renewal.groups),
        "never_inputs": (declared.outcome.column, "estimate", "estimated_by", "race", "ethnicity"),
        "patient_column": "patient",
        "row_column": "row",
        "fold_column": "fold",
        "standardise_by": None,
    }
    renewed: Declared = replace(declared, **changes)
    return renewed


def _recalibration(spec: Any, renewal: Renewal) -> Recalibration | None:
    """Return all rows of the table for a model that was fitted elsewhere, whose other numbers stay as they are."""
    if not isinstance(spec.estimator, Fitted):
        return None
    return Recalibration(column=spec.outcome.column, since=0, until=1, words=renewal.years)


def _axes(features: tuple[str, ...], groups: tuple[str, ...]) -> dict[str, ColumnOf]:
    """Return the groups of which figures are computed: by sex, age, and race and ethnicity where they are recorded."""
    axes: dict[str, ColumnOf] = {}
    if "sex_male" in features:
        axes["sex"] = lambda rows: rows["sex_male"].map({1.0: "male", 0.0: "female"}).fillna(_NOT_RECORDED)
    if "age_years" in features:
        axes["age band"] = lambda rows: bands_of("age_years", _BANDS)(rows).fillna(_NOT_RECORDED)
    return axes | {name: partial(_group, name) for name in groups}


def _group(name: str, rows: Any) -> Any:
    return rows[name].fillna(_NOT_RECORDED).replace("", _NOT_RECORDED)
