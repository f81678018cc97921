"""An invented table of the training table's form, small enough to train on in a second; nobody in it is a person."""

from dataclasses import replace

import numpy as np
import pandas as pd

from models_onnx.models.mortality_5y import LABS, SPEC
from models_onnx.spec import AdditiveLogistic
from models_onnx.workbench.training.data.cohort import Table

PEOPLE = 1500
CYCLES = (1988, 1999, 2003, 2005, 2007, 2009, 2013, 2015)

# Middle and spread of each measured input, roughly those of adults.
_SHAPES = {
    "albumin_g_dl": (4.2, 0.3), "alp_u_l": (75.0, 20.0), "bun_mg_dl": (14.0, 5.0), "creatinine_mg_dl": (0.9, 0.2),
    "glucose_mg_dl": (100.0, 25.0), "bilirubin_total_mg_dl": (0.7, 0.2), "wbc_10e3_ul": (7.0, 2.0),
    "rbc_10e6_ul": (4.6, 0.5), "mcv_fl": (90.0, 5.0), "rdw_pct": (13.2, 1.0), "lymphocytes_pct": (30.0, 8.0),
    "sbp_mmhg": (128.0, 18.0), "dbp_mmhg": (71.0, 11.0), "bmi_kg_m2": (29.0, 6.0),
}  # fmt: skip

# The real model's whole way, with fewer knots.
INVENTED = replace(SPEC, estimator=AdditiveLogistic(knots=2, C=0.3))


def invented_table(seed: int = 7, people: int = PEOPLE) -> pd.DataFrame:
    """A table in which age and red cell width raise the risk, albumin lowers it, and a tenth has no labs."""
    draw = np.random.default_rng(seed)
    columns = {name: np.abs(draw.normal(*shape, people)).round(2) for name, shape in _SHAPES.items()}
    age = draw.integers(30, 90, people)
    margin = -3 + 0.08 * (age - 60) + 0.6 * (columns["rdw_pct"] - 13.2) - 2.0 * (columns["albumin_g_dl"] - 4.2)
    cycle = draw.choice(CYCLES, people)
    death = (draw.random(people) < 1 / (1 + np.exp(-margin))).astype(float)
    table = pd.DataFrame(columns)
    table[draw.random(table.shape) < 0.03] = np.nan
    table.loc[draw.random(people) < 0.1, list(LABS)] = np.nan
    return table.assign(
        participant_id=[f"invented-{number}" for number in range(people)],
        age_years=age,
        sex=draw.choice(["female", "male"], people),
        pregnant=np.where((age < 45) & (draw.random(people) < 0.05), 1.0, 0.0),
        race_ethnicity=draw.choice(["a", "b", "c"], people),
        cycle_start=cycle,
        linked=np.where(draw.random(people) < 0.02, 0, 1),
        # Half of those who died did so in the second half; who lived was followed as long as the cycle allows.
        followup_months=np.where(death == 1, draw.integers(1, 60, people), np.where(cycle > 2013, 40, 130)),
        death=np.where((cycle > 2013) & (draw.random(people) < 0.4), 0.0, death),
        death_5y=np.where(cycle > 2013, np.nan, death),
        fold=draw.integers(0, 5, people),
    )


def as_table(rows: pd.DataFrame) -> Table:
    """The rows as a table that was read from a file."""
    return Table(name=SPEC.table, sha256="0" * 64, rows=rows)
