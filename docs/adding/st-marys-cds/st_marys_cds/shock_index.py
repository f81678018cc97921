"""Shock index: heart rate divided by systolic blood pressure."""

from models_onnx.equations.arithmetic import Working, work_product
from models_onnx.equations.declaration import Equation, EquationOutput, Values, measured

_REFERENCE: Values = {"heart_rate": 70.0, "sbp": 120.0}


def _index(values: Values) -> float:
    return float(values["heart_rate"]) / float(values["sbp"])


def work(values: Values, output: str) -> Working:
    """Return the index, unrounded."""
    del output
    return work_product(_index, ("heart_rate", "sbp"), values, _REFERENCE)


EQUATION = Equation(
    id="shock_index",
    title="Shock index",
    version="1967",
    citation="Allgöwer M, Burri C. Schockindex. Dtsch Med Wochenschr 1967;92:1947-1950",
    doi="10.1055/s-0028-1106070",
    published="1967-10-27",
    reviewed="2026-11-25",
    inputs=(measured("heart_rate", "heart_rate", 20, 300), measured("sbp", "sbp", 30, 300)),
    outputs=(EquationOutput(id="index", words="shock index", kind="quantity", decimals=2),),
    population="adults",
    exclusions=(),
    cautions=("Medicines that slow the heart keep it low.",),
    reference="a person with a heart rate of 70 and 120 mmHg",
    work=work,
)
