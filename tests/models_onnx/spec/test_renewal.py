"""The declaration of a new version: what stays, what the table of outcomes changes, and what cannot be trained."""

from dataclasses import fields, replace
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from models_onnx.models.mortality_5y import SPEC
from models_onnx.spec import InputSpec, ModelSpec
from models_onnx.spec.renewal import Renewal, renewed_spec

AGAIN = Renewal(version="2", table="t.csv", years="2030", groups=("race",))
TWO = (InputSpec("age_years"), InputSpec("sex_male"))


def changes(renewed: ModelSpec, spec: ModelSpec = SPEC) -> dict[str, Any]:
    """The members of a declaration that are not those of another."""
    names = [item.name for item in fields(spec)]
    return {name: getattr(renewed, name) for name in names if getattr(renewed, name) != getattr(spec, name)}


def test_a_version_of_outcomes_has_the_table_of_outcomes_and_what_was_declared_of_the_model() -> None:
    changed = changes(renewed_spec(SPEC, AGAIN))
    axes = changed.pop("subgroups")
    assert changed == {
        "version": "2",
        "table": "t.csv",
        "period": "2030",
        "cohort_words": "people in the record of this site, with what happened after them",
        "reference_words": "people whose risk was estimated here, 2030",
        "outcome": replace(SPEC.outcome, of=None, follow_up=None),
        "exclusions": (),
        "derived": {},
        **({"needs": {}} if SPEC.needs else {}),
        "recalibration": None,
        **({"newest": None} if SPEC.newest is not None else {}),
        "never_inputs": ("death_5y", "estimate", "estimated_by", "race", "ethnicity"),
        "floors": replace(SPEC.floors, c_index=None),
        "patient_column": "patient",
        "row_column": "row",
        "standardise_by": None,
    } | ({"fold_column": "fold"} if SPEC.fold_column != "fold" else {})
    rows = pd.DataFrame(
        {
            "sex_male": [1.0, 0.0, np.nan, 1.0, 1.0],
            "age_years": [9.9, 40.0, 79.9, 80.0, np.nan],
            "race": ["a", "", None, "b", "b"],
        }
    )
    assert {name: list(axis(rows)) for name, axis in axes.items()} == {
        "sex": ["male", "female", "not recorded", "male", "male"],
        "age band": ["0-9", "40-49", "70-79", "80 and over", "not recorded"],
        "race": ["a", "not recorded", "not recorded", "b", "b"],
    }
    assert list(renewed_spec(SPEC, msgspec.structs.replace(AGAIN, groups=())).subgroups) == ["sex", "age band"]
