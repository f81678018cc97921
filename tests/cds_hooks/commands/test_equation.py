"""`cds-hooks equation`: list, run and check, with what they print and how they end."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.commands.equation import main
from cds_hooks.commands.equation.main import app
from models_onnx.equations.arithmetic import Working
from models_onnx.equations.calculate import Quantity
from models_onnx.equations.declaration import Values, find_equations, get_equation
from models_onnx.errors import CompileRefused
from tests.conftest import ROOT

PUBLISHED = ROOT / "models_onnx" / "equations" / "published"
FIB4 = ["age=57", "ast=85", "alt=60", "platelets=90"]


def _run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=given)


def test_every_equation_is_listed_with_its_attributes() -> None:
    listed = json.loads(_run("list", "--json").stdout)
    assert [each["id"] for each in listed] == list(find_equations())
    assert all(len(each["attributes"]) == 13 for each in listed)
    assert "fib4" in _run("list").stdout


def test_a_value_comes_with_its_band_and_parts() -> None:
    done = _run("run", "fib4", *FIB4, "--json")
    assert done.exit_code == 0
    (result,) = json.loads(done.stdout)
    assert result["value"] == pytest.approx(6.94985, abs=1e-4)
    assert result["band"]["id"] == "high"
    assert {each["input"] for each in result["contributions"]} == {"age", "ast", "alt", "platelets"}
    assert "high" in _run("run", "fib4", *FIB4).stdout


@pytest.mark.parametrize("inputs", ["-", "{...}", "file"])
def test_inputs_come_as_json_too(tmp_path: Path, inputs: str) -> None:
    text = json.dumps({"age": 57, "ast": 85, "alt": 60, "platelets": {"value": 90000, "unit": "/uL"}})
    (tmp_path / "inputs.json").write_text(text)
    given = {"-": "-", "{...}": text, "file": str(tmp_path / "inputs.json")}[inputs]
    done = _run("run", "fib4", "--inputs", given, "--json", given=text)
    assert json.loads(done.stdout)[0]["value"] == pytest.approx(6.94985, abs=1e-4)


def test_another_unit_is_converted() -> None:
    done = _run("run", "ckd_epi_2021_creatinine", "age=55", "sex=male", "creatinine=132.6 umol/L", "--json")
    assert json.loads(done.stdout)[0]["value"] == pytest.approx(54.64, abs=0.01)


def test_what_is_refused_is_said_and_ends_with_1() -> None:
    done = _run("run", "fib4", "age=30", "ast=85", "alt=60", "platelets=90")
    assert done.exit_code == 1
    assert "Age 30 a is outside 35 to 120" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["fib5"],
        ["fib4", "age"],
        ["fib4", "weight=70"],
        ["fib4", "--output", "5y"],
        ["fib4", "--inputs", "{no"],
        ["fib4", "--inputs", "[1]"],
        ["fib4", "--inputs", "no-such-file"],
    ],
)
def test_a_name_or_input_that_cannot_be_used_ends_with_2(arguments: list[str]) -> None:
    done = _run("run", *arguments)
    assert done.exit_code == 2
    assert done.stderr.strip()


def test_an_error_in_the_code_of_an_equation_is_said_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(values: Values, output: str) -> Working:
        raise KeyError(output, *sorted(values))

    broken = replace(get_equation("fib4"), work=fails)
    monkeypatch.setattr("cds_hooks.commands.equation.main.get_equation", lambda _name: broken)
    for arguments in (["run", "fib4", *FIB4], ["check", "fib4"]):
        done = _run(*arguments)
        assert done.exit_code == 2
        assert "the code of fib4 fails (KeyError: " in done.stderr


@pytest.mark.parametrize("name", find_equations())
def test_the_own_vectors_of_every_equation_all_agree(name: str) -> None:
    done = _run("check", name, "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["agree"] == told["checked"] == told["vectors"] > 0


def test_the_first_disagreement_is_named_with_both_values_and_ends_the_check(tmp_path: Path) -> None:
    document = json.loads((PUBLISHED / "fib4.vectors.json").read_text())
    for position in (1, 3):
        document["test_vectors"][position]["expected"] = 9.5
    path = tmp_path / "fib4.json"
    path.write_text(json.dumps(document))
    done = _run("check", str(path))
    assert done.exit_code == 1
    assert "DISAGREES fib4-003: expected 9.5, found 1.9445436482630056" in done.stderr
    assert "stopped after 2" in done.stdout
    every = _run("check", str(path), "--all", "--json")
    assert every.exit_code == 1
    assert len(json.loads(every.stdout)["disagreements"]) == 2


def test_a_file_that_is_none_ends_with_2(tmp_path: Path) -> None:
    assert _run("check", str(tmp_path / "none.json")).exit_code == 2


def test_the_inputs_come_from_a_chart_and_what_it_does_not_say_is_named() -> None:
    done = _run("run", "kfre_4", "--patient", "sample:ckd-uacr", "--json")
    assert done.exit_code == 0, done.stderr
    two, five = json.loads(done.stdout)
    assert (two["value"], five["value"]) == (pytest.approx(0.0278, abs=1e-3), pytest.approx(0.0841, abs=1e-3))
    stroke = _run("run", "cha2ds2_vasc", "--patient", "sample:af-no-anticoagulant")
    assert "score: 7" in stroke.stdout
    assert "Not found in the chart, so counted as no: heart failure, vascular disease." in " ".join(
        stroke.stdout.split()
    )


def test_what_is_given_wins_over_the_chart() -> None:
    done = _run(
        "run", "kfre_4", "calibration=north_america", "uacr=3 mg/mmol", "--patient", "sample:ckd-uacr",
        "--output", "5y", "--json",
    )  # fmt: skip
    (five,) = json.loads(done.stdout)
    assert five["value"] < 0.03


@pytest.mark.parametrize(
    ("name", "sample", "reason"),
    [
        ("prevent_base", "planning-talk", "excluded"),
        ("kfre_4", "dialysis", "excluded"),
        ("cha2ds2_vasc", "healthy-adult", "outside-population"),
        ("prevent_base", "sparse-record", "input-missing"),
    ],
)
def test_whom_an_equation_is_not_for_gets_no_value(name: str, sample: str, reason: str) -> None:
    done = _run("run", name, "--patient", f"sample:{sample}", "--json")
    assert done.exit_code == 1
    assert {each["refused"] for each in json.loads(done.stdout)} == {reason}


def test_a_chart_that_is_not_there_ends_with_2() -> None:
    assert _run("run", "fib4", "--patient", "sample:nobody").exit_code == 2


def test_the_committed_files_are_what_the_compiler_writes(tmp_path: Path) -> None:
    assert _run("compile", "lace", "--check").exit_code == 0
    assert _run("compile", "lace", "--check", "--out", str(tmp_path)).exit_code == 1
    assert list(tmp_path.iterdir()) == []
    assert _run("compile", "fib4").exit_code == 2


def test_files_are_written_and_compared_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    equation = get_equation("lace")
    compilable = [(equation, "a"), (equation, "b"), (get_equation("fib4"), "index")]
    compiler = "models_onnx.workbench.compiler.equation"
    gaps = {"a": 0.0, "b": 1.5e-6}
    monkeypatch.setattr(main, "compilable_outputs", lambda: compilable)
    monkeypatch.setattr(main, "onnx_file_name", lambda name, output: f"{name}.{output}.onnx")
    monkeypatch.setattr(f"{compiler}.compile_equation", lambda _, output: output.encode() * 1500)
    monkeypatch.setattr(f"{compiler}.verify_equation", lambda _, output, content: gaps[output] if content else None)

    def run(*words: str) -> tuple[int, str, str]:
        done = _run("compile", "lace", "--out", str(tmp_path), *words)
        return done.exit_code, done.stdout, done.stderr

    lines = (
        "lace.a.onnx: 1,500 bytes, largest difference 0.0e+00, {}\n"
        "lace.b.onnx: 1,500 bytes, largest difference 1.5e-06, {}\n"
    )
    assert run("--check") == (1, lines.format("DIFFERS", "DIFFERS"), "")
    assert list(tmp_path.iterdir()) == []
    assert run() == (0, lines.format("written", "written"), "")
    assert run() == (0, lines.format("the same", "the same"), "")
    assert run("--check") == (0, lines.format("the same", "the same"), "")
    (tmp_path / "lace.b.onnx").write_bytes(b"c" * 1500)
    assert run("--check") == (1, lines.format("the same", "DIFFERS"), "")
    assert run() == (0, lines.format("the same", "written"), "")
    done = _run("compile", "prevent_base", "--out", str(tmp_path))
    names = "prevent_base is not compiled; these are: fib4, lace\n"
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", names)

    def fails(*_: object) -> None:
        raise CompileRefused("lace differs by 0.1")

    monkeypatch.setattr(f"{compiler}.verify_equation", fails)
    assert run() == (1, "", "lace differs by 0.1\n")
    monkeypatch.setitem(sys.modules, compiler, None)
    code, shown, errors = run()
    assert (code, shown, errors.endswith(" is not installed; this needs the extra: cds-hooks-onnx[train]\n")) == (
        2,
        "",
        True,
    )


def test_a_quantity_of_json_has_a_value_and_perhaps_a_unit() -> None:
    assert main._quantity({"value": 3, "unit": "mg/dL"}) == Quantity(3, "mg/dL")
    assert main._quantity({"value": 3}) == main._quantity({"value": 3, "unit": ""}) == main._quantity(3) == 3
    assert main._quantity({"unit": "mg/dL"}) == {"unit": "mg/dL"}
    assert main._json_inputs(None) == {}
    assert main._json_inputs(' {"a": 1}') == {"a": 1}
    done = _run("run", "fib4", "--inputs", "-", given="[1]")
    assert (done.exit_code, done.stderr) == (2, "--inputs is not a JSON object of inputs by name\n")


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("age=60", "age", "60"),
        (" age = 60 ", "age", "60"),
        ("creatinine=120 umol/L", "creatinine", Quantity("120", "umol/L")),
        ("creatinine= 120  umol/L ", "creatinine", Quantity("120", "umol/L")),
        ("a=b=c", "a", "b=c"),
        ("a=", "a", ""),
    ],
)
def test_an_input_is_a_name_a_number_and_perhaps_a_unit(text: str, name: str, value: object) -> None:
    assert main._named_input(text) == (name, value)


def test_the_calibration_of_the_site_and_the_clock_of_the_settings_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    chart = SimpleNamespace(
        resources=[{"resourceType": "Patient", "id": "p"}, {"resourceType": 5}], patient={"id": "p"}
    )
    now = datetime(2026, 11, 20, tzinfo=UTC)
    configured = SimpleNamespace(as_of=now, kfre_region="non_north_america")
    monkeypatch.setattr(main, "settings", lambda: configured)
    monkeypatch.setattr(main, "open_chart", lambda path, at: chart if (path, at) == (Path("c.json"), now) else None)
    monkeypatch.setattr(main, "read_record", lambda resources, patient, at: (list(resources), patient, at))
    monkeypatch.setattr(main, "inputs_from_record", lambda *given: asked.append(given))
    for name, of_site in (("kfre_4", {"calibration": "non_north_america"}), ("fib4", {})):
        main._charted(get_equation(name), Path("c.json"))
        assert asked.pop() == (get_equation(name), (["0"], "p", now), of_site)
    empty = main._charted(get_equation("fib4"), None)
    assert (empty.given, empty.missing, empty.not_found) == ({}, {}, ())
