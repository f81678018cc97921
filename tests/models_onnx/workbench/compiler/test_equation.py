"""Published equations as ONNX: the file says what the equation says, refuses what it refuses, and is committed."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from models_onnx.equations.calculate import calculate
from models_onnx.equations.compiled import PUBLISHED, CompiledEquation, confirm_with_onnx, load_compiled, onnx_file_name
from models_onnx.equations.declaration import Equation, compilable_outputs, get_equation
from models_onnx.errors import CompileRefused, ExplanationMismatch, UnknownModel, UnsafeModel, WrongShape
from models_onnx.workbench.compiler import equation as compiling
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


def test_the_people_of_a_proof_lie_between_the_limits_and_on_them() -> None:
    kidney, stay = (compiling._people(get_equation(name), np.random.default_rng(1)) for name in ("kfre_4", "lace"))
    assert kidney.shape == (1002, 5)
    assert kidney[-2:].tolist() == [[18.0, 0.0, 10.0, 0.1, 0.0], [100.0, 1.0, 60.0, 25000.0, 1.0]]
    assert ((kidney >= kidney[-2]) & (kidney <= kidney[-1])).all()
    assert (kidney[:, 2] % 1 != 0).any()
    for column in (1, 4):
        assert 400 < kidney[:, column].sum() < 600, "half of each choice"
        assert set(kidney[:, column].tolist()) == {0.0, 1.0}
    assert stay[-2:].tolist() == [[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    assert (stay[:, 2:] % 1 == 0).all(), "whole numbers"
    assert 29 < stay[:, 0].max() < 30, "where there is no upper limit thirty more than the lower one"
    assert stay[:, 2].max() == 29
    assert set(stay[:, 1].tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("name", "output", "item", "highest"),
    [
        ("prevent_base", "ascvd|10y", "age", 79.0),
        ("prevent_base", "ascvd|30y", "age", 59.0),
        ("prevent_base", "ascvd|30y", "sbp", 200.0),
        ("kfre_4", "5y", "egfr", float(np.nextafter(60.0, 0.0))),
        ("lace", "score", "charlson_lace", np.inf),
    ],
)
def test_the_highest_value_of_an_output(name: str, output: str, item: str, highest: float) -> None:
    equation = get_equation(name)
    assert compiling._highest(equation, equation.input(item), output) == highest


def test_a_file_that_answers_where_the_equation_does_not_is_refused() -> None:
    kidney = get_equation("kfre_4")
    with pytest.raises(CompileRefused, match=r"^kfre_4 5y differs from its own arithmetic by up to inf$"):
        verify_equation(kidney, "5y", compile_equation(dataclasses.replace(kidney, narrower=()), "5y"))
    not_needed = tuple(replace(item, for_outputs=("2y",)) for item in kidney.inputs)
    with pytest.raises(CompileRefused, match=r"^kfre_4 5y differs from its own arithmetic by up to inf$"):
        verify_equation(kidney, "5y", compile_equation(dataclasses.replace(kidney, inputs=not_needed), "5y"))


@pytest.mark.parametrize(("shift", "is_refused"), [(2e-5, True), (5e-6, False)])
def test_a_file_may_differ_by_a_hundred_thousandth(
    shift: float, is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lace = get_equation("lace")
    rows = CompiledEquation.rows
    for name in ("value", "contributions"):

        def shifted(model: CompiledEquation, people: Any, name: str = name) -> Any:
            computed = rows(model, people)
            return replace(computed, **{name: getattr(computed, name) - shift})

        monkeypatch.setattr(CompiledEquation, "rows", shifted)
        if is_refused:
            with pytest.raises(CompileRefused, match=r"^lace score differs from its own arithmetic by up to 2.00e-05$"):
                verify_equation(lace, "score", (PUBLISHED / onnx_file_name("lace", "score")).read_bytes())
        else:
            worst = verify_equation(lace, "score", (PUBLISHED / onnx_file_name("lace", "score")).read_bytes())
            assert worst == pytest.approx(shift)
