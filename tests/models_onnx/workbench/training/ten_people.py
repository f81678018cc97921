"""Ten people whose figures can be worked out by hand, a model of their age, and a declaration of it."""

from dataclasses import replace

import numpy as np
import pandas as pd

from models_onnx.artifact.manifest import CohortStep
from models_onnx.spec import InputSpec, ModelPopulation, RequiredInputGroup
from models_onnx.workbench.training.crossvalidate import OutOfFold
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.data.follow_up import Observed
from tests.models_onnx.invented import INVENTED
from tests.models_onnx.workbench.compiler.people import BrokenLine, piecewise

NAN = float("nan")
AGES = (40, 60, 50, 55, 60, 65, 70, 75, 80, 90)
CREATININE = (0.5, 3.0, 1.0, NAN, 1.2, 1.0, 0.9, NAN, 1.4, 2.0)
EVENTS = (1, 0, 0, 0, 1, 1, 0, 1, 0, 1)
WEIGHTS = (0.0, 1.0, 1.0, 1.0, 4.0, 1.0, 0.0, 1.0, 1.0, 3.0)
"""The first is of a year that nobody followed to its end; the seventh left early, and others stand for that one."""
MARGINS = (-3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
# one that lies on each of the limits: the margins that a half, a fifth, a tenth and a sixteenth of the cohort reach

# From 50 to 85 years its margins are those of the last eight.
MODEL = piecewise(
    (
        BrokenLine("age_years", (40.0,), (0.1,), 2.0, 85.0, float("inf")),
        BrokenLine("creatinine_mg_dl", (0.4,), (0.0,), 0.0, 4.0, 4.0),
    ),
    -1.0,
)


SPEC = replace(
    INVENTED,
    inputs=(InputSpec("age_years", clip_high=85.0), InputSpec("creatinine_mg_dl")),
    derived={},
    always_required=("age_years",),
    required_groups=(RequiredInputGroup("labs", "laboratory values", ("creatinine_mg_dl",), 1),),
    simple_inputs=("age_years",),
    population=ModelPopulation("people of 40 and over", 40, ("pregnancy",)),
    capacity=0.2,
    capacities=(0.0625, 0.1, 0.2, 0.5),
    alerts_per_event=5.0,
    age_bands=(50, 70, 100),
    panels={"without creatinine": ("creatinine_mg_dl",), "without age": ("age_years",), "with all": ()},
    subgroups={"sex": lambda table: table["sex"], "half": lambda table: table["half"]},
    standardise_by=None,
)


def ten_people() -> Cohort:
    """The cohort: the first two are of an earlier period; three folds."""
    ages, events = np.array(AGES, dtype=np.float64), np.array(EVENTS)
    weights = np.array(WEIGHTS)
    years = np.array([1.0, 5, 5, 5, 2, 3, 4, 1, 5, 2])
    unfollowed = np.arange(10) == 0
    sex = [None, "female", "male", "male", "male", "female", "female", "female", "male", "female"]
    half = ["unseen", *["early"] * 5, *["late"] * 4]
    return Cohort(
        features=SPEC.feature_names,
        X=np.column_stack([ages, CREATININE]),
        observed=Observed(events, weights, years, events == 1, unfollowed),
        fold=np.arange(10) % 3,
        recent=np.arange(10) >= 2,
        patient=np.arange(10),
        rows=pd.DataFrame({"sex": sex, "half": half}),
        table_rows=13,
        left_out=(CohortStep("pregnant", "pregnant", 2), CohortStep("not-linked", "not linked", 1)),
    )


def predicted() -> OutOfFold:
    """Margins of the ten, each by the model."""
    margins = np.array(MARGINS)
    return OutOfFold(margins, margins, dict.fromkeys(range(3), MODEL))  # type: ignore[arg-type]  # it has a margin
