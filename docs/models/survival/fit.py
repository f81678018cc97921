"""Fits a Cox model with lifelines on invented people and writes its risk at five years as ONNX."""

from pathlib import Path

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from onnx import TensorProto, checker, helper, numpy_helper

INPUTS = ["age_years", "sex_male", "creatinine_mg_dl"]
HORIZON = 60.0  # months

draw, count = np.random.default_rng(7), 9_000
people = pd.DataFrame({"patient": [f"p{number}" for number in range(count)]})
people["age_years"] = draw.integers(40, 90, count)
people["sex_male"] = draw.integers(0, 2, count)
people["creatinine_mg_dl"] = draw.lognormal(0.0, 0.3, count).round(2)
hazard = 0.002 * np.exp(0.05 * (people["age_years"] - 65) + 0.3 * people["sex_male"])
hazard *= np.exp(0.8 * (people["creatinine_mg_dl"] - 1.0))
died, left = draw.exponential(1 / hazard), draw.uniform(24, 120, count)
people["months"] = np.minimum(died, left).clip(0.1).round(1)
people["died"] = (died <= left).astype(int)

theirs, ours = people[:6000], people[6000:]
cox = CoxPHFitter().fit(theirs[[*INPUTS, "months", "died"]], duration_col="months", event_col="died")

b = cox.params_[INPUTS].to_numpy()
h0 = cox.predict_cumulative_hazard(theirs[INPUTS].mean().to_frame().T, times=[HORIZON]).iloc[0, 0]
shift = np.log(h0) - float(theirs[INPUTS].mean().to_numpy() @ b)


def constant(name: str, values: object) -> object:
    """Return the values as a constant of the graph."""
    return numpy_helper.from_array(np.asarray(values, dtype=np.float32), name)


graph = helper.make_graph(
    [
        helper.make_node("MatMul", ["features", "b"], ["predictor"]),
        helper.make_node("Add", ["predictor", "shift"], ["log_hazard"]),
        helper.make_node("Exp", ["log_hazard"], ["hazard"]),
        helper.make_node("Neg", ["hazard"], ["minus_hazard"]),
        helper.make_node("Exp", ["minus_hazard"], ["survival"]),
        helper.make_node("Sub", ["one", "survival"], ["probability"]),
    ],
    "cox",
    [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", len(INPUTS)])],
    [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1])],
    [constant("b", b[:, None]), constant("shift", [shift]), constant("one", [1.0])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
checker.check_model(model)

for folder in ("mine", "tables"):
    Path(folder).mkdir(exist_ok=True)
Path("mine/death_5y.onnx").write_bytes(model.SerializeToString())
ours.to_csv("tables/death_5y.csv", index=False)
risk = 1 - cox.predict_survival_function(ours[INPUTS], times=[HORIZON]).iloc[0]
risk.to_csv("lifelines.csv", index=False)
