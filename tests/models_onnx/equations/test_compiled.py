"""The file of an equation has to say what the equation says, within a hundred-thousandth, or nothing is shown."""

import hashlib
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from models_onnx.equations.arithmetic import Contribution
from models_onnx.equations.calculate import EquationResult, calculate
from models_onnx.equations.compiled import (
    PUBLISHED,
    CompiledEquation,
    confirm_with_onnx,
    equation_reference,
    load_compiled,
    result_reference,
)
from models_onnx.equations.declaration import get_equation
from models_onnx.errors import ExplanationMismatch, UnknownModel, WrongShape

KIDNEY: dict[str, Any] = {"age": 70.0, "sex": "male", "egfr": 36.0, "uacr": 170.0, "calibration": "north_america"}
ATRIAL: dict[str, Any] = {
    "age": 75, "sex": "female", "heart_failure": True, "hypertension": False, "diabetes": False, "stroke_tia_te": True,
    "vascular_disease": False,
}  # fmt: skip


def fresh(name: str) -> CompiledEquation:
    """The file of an output by itself, which a test may change."""
    return CompiledEquation((PUBLISHED / f"{name}.onnx").read_bytes())


def risk() -> EquationResult:
    """The risk of kidney failure of one person."""
    return calculate(get_equation("kfre_4"), KIDNEY, "2y")


def test_inputs_are_one_row_and_a_row_is_the_inputs_again() -> None:
    kidney, atrial = load_compiled("kfre_4", "2y"), load_compiled("cha2ds2_vasc", "score")
    assert kidney.row_of(KIDNEY).tolist() == [[70.0, 1.0, 36.0, 170.0, 0.0]]
    assert kidney.values_of([70.0, 1.0, 36.0, 170.0, 0.0]) == KIDNEY
    assert kidney.values_of([70.0, float("nan"), 36.0, 170.0, 1.0]) == {
        "age": 70.0, "egfr": 36.0, "uacr": 170.0, "calibration": "non_north_america",
    }  # fmt: skip
    assert atrial.row_of(ATRIAL).tolist() == [[75.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0]]
    assert atrial.values_of([75.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0]) == ATRIAL
    assert np.isnan(kidney.row_of({"age": 70.0})).tolist() == [[False, True, True, True, True]]


def test_a_file_gives_the_value_with_its_working_or_nothing() -> None:
    # A woman of 75 with heart failure and a stroke: 2 + 1 + 1 + 2 points.
    points = load_compiled("cha2ds2_vasc", "score").work(ATRIAL)
    assert points is not None
    assert (points.value, type(points.value), points.link, points.base) == (6, int, "identity", 0.0)
    assert [(part.input, part.value, part.contribution) for part in points.contributions] == [
        ("age", 75, 2.0), ("sex", "female", 1.0), ("heart_failure", True, 1.0), ("hypertension", False, 0.0),
        ("diabetes", False, 0.0), ("stroke_tia_te", True, 2.0), ("vascular_disease", False, 0.0),
    ]  # fmt: skip
    kidney = load_compiled("kfre_4", "2y")
    worked = kidney.work(KIDNEY)
    assert worked is not None
    assert worked.link == "cloglog"
    assert worked.value == pytest.approx(risk().value, abs=1e-6)
    for refused in ({"egfr": None}, {"egfr": 60.5}, {"age": 17.0}):
        assert kidney.work({name: value for name, value in (KIDNEY | refused).items() if value is not None}) is None


@pytest.mark.parametrize(("shift", "is_taken"), [(2.9e-5, True), (-2.9e-5, True), (6e-5, False), (-6e-5, False)])
def test_contributions_have_to_add_up_to_the_margin(shift: float, *, is_taken: bool) -> None:
    kidney = fresh("kfre_4.2y")
    row = kidney.row_of(KIDNEY)
    margin = kidney.rows(row).margin[0]
    assert 3 < abs(margin) < 5, "so the tolerance is that share of it"
    kidney.base += shift
    if is_taken:
        assert kidney.work(KIDNEY) is not None
        assert kidney.rows(row).margin[0] == margin
    else:
        for ask in (lambda: kidney.work(KIDNEY), lambda: kidney.rows(row)):
            with pytest.raises(ExplanationMismatch, match=r"^kfre_4: the contributions do not add up to the margin$"):
                ask()


def test_a_row_that_the_file_refuses_is_not_held_to_its_sum_and_one_other_row_is() -> None:
    kidney = fresh("kfre_4.2y")
    refused, fine = kidney.row_of(KIDNEY | {"egfr": 61.0}), kidney.row_of(KIDNEY)
    kidney.base += 1.0
    rows = kidney.rows(refused)
    assert np.isnan(rows.value).tolist() == [True]
    assert rows.out_of_range.tolist() == [[False, False, True, False, False]]
    with pytest.raises(ExplanationMismatch):
        kidney.rows(np.vstack([refused, fine]))
    for shape in ((1, 4), (1, 6), (5,)):
        with pytest.raises(WrongShape) as wrong:
            kidney.rows(np.zeros(shape))
        assert str(wrong.value) == f"kfre_4 takes rows of 5 values, got {shape}"


def changed(result: EquationResult, value: float = 0.0, base: float = 0.0, part: float = 0.0) -> EquationResult:
    """The result with another value, base or first contribution by so much."""
    working = result.working
    first, *others = working.contributions
    parts = (Contribution(first.input, first.value, first.contribution + part), *others)
    return replace(
        result,
        working=replace(working, value=float(working.value) + value, base=working.base + base, contributions=parts),
    )


@pytest.mark.parametrize("member", ["value", "base", "part"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_value_a_base_or_a_contribution_that_is_another_one_is_not_shown(member: str, sign: int) -> None:
    result = risk()
    confirmed = confirm_with_onnx(changed(result, **{member: sign * 0.8e-5}))
    assert confirmed.value == pytest.approx(result.value, abs=1e-6), "the value of the file is shown"
    assert {part.input for part in confirmed.working.contributions} == set(KIDNEY)
    with pytest.raises(ExplanationMismatch) as mismatch:
        confirm_with_onnx(changed(result, **{member: sign * 1.4e-5}))
    assert str(mismatch.value) == "kfre_4 2y: the file does not say what the equation says"


def test_of_points_the_hundred_thousandth_is_a_share_of_them() -> None:
    six = calculate(get_equation("cha2ds2_vasc"), ATRIAL, "score")
    assert six.value == 6
    assert confirm_with_onnx(changed(six, part=5e-5)).value == 6
    with pytest.raises(ExplanationMismatch):
        confirm_with_onnx(changed(six, part=7e-5))


def test_a_value_that_the_file_refuses_is_not_shown_and_one_without_a_file_is() -> None:
    with pytest.raises(ExplanationMismatch):
        confirm_with_onnx(replace(risk(), values=KIDNEY | {"egfr": 61.0}))
    plain = calculate(get_equation("fib4"), {"age": 60, "ast": 40, "alt": 40, "platelets": 200}, "index")
    assert confirm_with_onnx(plain) is plain
    with pytest.raises(UnknownModel, match=r"^fib4 index has no ONNX file; "):
        load_compiled("fib4", "index")


def test_a_result_is_referred_to_by_the_digest_of_its_file_or_of_its_source() -> None:
    result = risk()
    file = hashlib.sha256((PUBLISHED / "kfre_4.2y.onnx").read_bytes()).hexdigest()
    assert result_reference(result) == {"id": "kfre_4", "version": result.equation.version, "sha256": file}
    phq9 = get_equation("phq9")
    source = hashlib.sha256((PUBLISHED / "phq9.py").read_bytes()).hexdigest()
    assert equation_reference(phq9, "severity") == {"id": "phq9", "version": phq9.version, "sha256": source}
