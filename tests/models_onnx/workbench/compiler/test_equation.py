"""Published equations as ONNX: the file says what the equation says, refuses what it refuses, and is committed."""

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from models_onnx.equations.calculate import calculate
from models_onnx.equations.compiled import PUBLISHED, CompiledEquation, confirm_with_onnx, load_compiled, onnx_file_name
from models_onnx.equations.declaration import Equation, compilable_outputs, get_equation
from models_onnx.errors import CompileRefused, ExplanationMismatch, UnknownModel, UnsafeModel, WrongShape
from models_onnx.workbench.compiler.equation import compile_equation, verify_equation
from tests.models_onnx.equations.vectors import vectors_of

PAIRS = compilable_outputs()
IDS = [onnx_file_name(equation.id, output) for equation, output in PAIRS]
EACH = pytest.mark.parametrize(("equation", "output"), PAIRS, ids=IDS)


def _vectors(equation: Equation, output: str) -> list[dict[str, Any]]:
    return [each for each in vectors_of(equation.id) if each.get("output", output) == output]


@EACH
def test_the_committed_file_is_what_the_compiler_writes_and_agrees(equation: Equation, output: str) -> None:
    content = compile_equation(equation, output)
    assert (PUBLISHED / onnx_file_name(equation.id, output)).read_bytes() == content
    if output in ("5y", "ascvd|10y", "score"):  # the others differ in their coefficients only
        assert verify_equation(equation, output, content) <= 1e-9


@EACH
def test_the_file_reproduces_the_vectors_with_the_equations_own_contributions(equation: Equation, output: str) -> None:
    model = load_compiled(equation.id, output)
    for vector in _vectors(equation, output):
        result = calculate(equation, vector["inputs"], output)
        worked = model.work(result.values)
        assert worked is not None
        assert worked.value == pytest.approx(vector["expected"], rel=1e-9)
        assert worked.link == result.working.link
        assert worked.base == pytest.approx(result.working.base)
        own = {part.input: part.contribution for part in result.working.contributions}
        for part in worked.contributions:
            assert part.contribution == pytest.approx(own.get(part.input, 0.0), abs=1e-9)


@EACH
def test_a_row_outside_the_limits_or_with_a_gap_has_no_value_and_says_where(equation: Equation, output: str) -> None:
    model = load_compiled(equation.id, output)
    sound = model.row_of(calculate(equation, _vectors(equation, output)[0]["inputs"], output).values)
    for column, item in enumerate(equation.inputs):
        gap = sound.copy()
        gap[0, column] = np.nan
        found = model.rows(gap)
        assert np.isnan(found.value[0]) == item.is_needed_for(output)
        assert found.missing[0, column] == item.is_needed_for(output)
        if item.high is not None:
            gap[0, column] = item.high + 1
            assert np.isnan(model.rows(gap).value[0])
            assert model.rows(gap).out_of_range[0, column]


def test_narrower_outputs_refuse_in_the_file_too() -> None:
    model = load_compiled("prevent_base", "ascvd|30y")
    row = model.row_of({**vectors_of("prevent_base")[0]["inputs"], "age": 60})
    assert np.isnan(model.rows(row).value[0])
    kidney = load_compiled("kfre_4", "5y")
    at_60 = kidney.row_of({**vectors_of("kfre_4")[0]["inputs"], "egfr": 60})
    assert np.isnan(kidney.rows(at_60).value[0])


def test_a_file_carries_its_attributes_and_its_reference() -> None:
    said = load_compiled("kfre_4", "5y").metadata
    assert said["link"] == "cloglog"
    assert "evidence.uses.race" in said["attributes"]
    assert said["reference"].startswith("the equation's own centre")


def test_what_is_neither_linear_nor_points_is_not_compiled() -> None:
    with pytest.raises(CompileRefused, match="fib4"):
        compile_equation(get_equation("fib4"), "index")
    with pytest.raises(UnknownModel):
        load_compiled("fib4", "index")


def test_a_file_of_another_equation_does_not_pass_the_proof() -> None:
    content = compile_equation(get_equation("prevent_base"), "ascvd|10y")
    with pytest.raises(CompileRefused, match="differs"):
        verify_equation(get_equation("prevent_base"), "total_cvd|10y", content)


def test_a_result_that_the_file_does_not_confirm_is_not_shown() -> None:
    result = calculate(get_equation("kfre_4"), vectors_of("kfre_4")[0]["inputs"], "5y")
    assert confirm_with_onnx(result).value == pytest.approx(result.value, rel=1e-12)
    changed = replace(result, working=replace(result.working, value=float(result.value) + 0.01))
    with pytest.raises(ExplanationMismatch):
        confirm_with_onnx(changed)
    first, *others = result.working.contributions
    other_parts = (replace(first, contribution=first.contribution + 0.5), *others)
    with pytest.raises(ExplanationMismatch):
        confirm_with_onnx(replace(result, working=replace(result.working, contributions=other_parts)))


def test_bytes_that_are_no_model_and_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(UnsafeModel):
        CompiledEquation(b"no model")
    with pytest.raises(WrongShape):
        load_compiled("lace", "score").rows(np.zeros((1, 3)))
