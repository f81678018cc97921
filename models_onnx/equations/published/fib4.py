"""FIB-4: an index of liver fibrosis from age, AST, ALT and platelets."""

from collections.abc import Mapping
from math import sqrt

from models_onnx.equations.arithmetic import Value, Working, work_product
from models_onnx.equations.declaration import (
    Band,
    BandTable,
    Equation,
    EquationOutput,
    Exclusion,
    Values,
    age,
    measured,
)

_OLDER = 65
_SOURCE = "AASLD 2023 guidance on the assessment of MASLD"
_REFERENCE: Values = {"age": 50.0, "ast": 25.0, "alt": 25.0, "platelets": 250.0}


def _formula(values: Mapping[str, Value]) -> float:
    years, ast, alt = float(values["age"]), float(values["ast"]), float(values["alt"])
    return years * ast / (float(values["platelets"]) * sqrt(alt))


def work(values: Values, output: str) -> Working:  # noqa: ARG001 - there is one output
    """Return the index, unrounded."""
    return work_product(_formula, tuple(_REFERENCE), values, _REFERENCE)


def _table(low: float, note: str, is_older: bool) -> BandTable:
    return BandTable(
        output="index",
        bands=(
            Band("low", "low"),
            Band("indeterminate", "indeterminate", low),
            Band("high", "high", 2.67, strictly=True),
        ),
        source=_SOURCE if not is_older else "McPherson 2017 (2.0 as the lower step at 65 and over)",
        verified=(
            "knowledge (2.0 and 2.67)"
            if is_older
            else "search for 1.30 as the step to a second test; knowledge for 2.67"
        ),
        note=note,
        applies=lambda values: (float(values["age"]) >= _OLDER) == is_older,
    )


EQUATION = Equation(
    id="fib4",
    title="FIB-4 index of liver fibrosis",
    version="2006",
    citation=(
        "Sterling RK, Lissen E, Clumeck N, et al. Development of a simple noninvasive index to predict significant "
        "fibrosis in patients with HIV/HCV coinfection. Hepatology 2006;43:1317-1325"
    ),
    doi="10.1002/hep.21178",
    published="2006-05-25",
    inputs=(
        age(35, 120),
        measured("ast", "ast", 1, 5000, feature="ast_u_l"),
        measured("alt", "alt", 1, 5000, feature="alt_u_l"),
        measured("platelets", "platelets", 5, 1500, feature="platelets_10e3_ul"),
    ),
    outputs=(EquationOutput(id="index", words="FIB-4", kind="quantity", decimals=2),),
    population="adults of 35 and over with risk factors for liver disease",
    exclusions=(
        Exclusion("younger than 35: it tells the ill from the well poorly"),
        Exclusion("acute hepatitis"),
        Exclusion("platelets low for another cause"),
    ),
    cautions=("Laboratory values of one day, or at most 3 months apart: both dates are shown.",),
    reviewed="2026-11-20",
    reference="a person of 50 with AST 25, ALT 25 U/L and platelets 250",
    work=work,
    bands=(
        _table(1.30, "the 2006 paper used 1.45 and 3.25 in HIV and hepatitis C", is_older=False),
        _table(2.0, "at 65 and over a value of 1.3 to 2.0 is low, not indeterminate", is_older=True),
    ),
)
