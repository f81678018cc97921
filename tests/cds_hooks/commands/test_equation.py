"""`cds-hooks equation`: the list and each equation, with what they print and how they end."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.cli import app
from models_onnx.equations.declaration import find_equations
from tests.cds_hooks.services.coverage_calls import ask, coverage, order, patient
from tests.each import for_rows
from tests.live import record_in
from tests.program import run_program

FIB4 = ["age=57", "ast=85", "alt=60", "platelets=90"]


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["equation", *arguments])


def test_every_equation_is_listed_with_its_inputs_and_attributes() -> None:
    listed = json.loads(_run("--json").stdout)
    assert [each["id"] for each in listed] == list(find_equations())
    assert all(len(each["attributes"]) == 13 for each in listed)
    assert {item["name"] for item in listed[0]["inputs"]} == {
        item.name for item in find_equations()["cha2ds2_vasc"].inputs
    }
    assert "fib4" in _run().stdout


def test_an_equation_without_inputs_is_shown_with_its_limits_and_its_source() -> None:
    shown = _run("fib4")
    assert shown.exit_code == 0
    assert "35 to 120" in shown.stdout
    assert "Sterling RK" in shown.stdout
    assert json.loads(_run("fib4", "--json").stdout)["bands"][0]["bands"][0]["id"] == "low"


def test_a_value_comes_with_its_band_and_parts() -> None:
    done = _run("fib4", *FIB4, "--json")
    assert done.exit_code == 0
    (result,) = json.loads(done.stdout)
    assert result["value"] == pytest.approx(6.94985, abs=1e-4)
    assert result["band"]["id"] == "high"
    assert {each["input"] for each in result["contributions"]} == {"age", "ast", "alt", "platelets"}
    printed = _run("fib4", *FIB4).stdout
    assert "index: 6.95; high" in printed
    assert "85 U/L" in printed


def test_another_unit_is_converted() -> None:
    done = _run("ckd_epi_2021_creatinine", "age=55", "sex=male", "creatinine=132.6 umol/L", "--json")
    assert json.loads(done.stdout)[0]["value"] == pytest.approx(54.64, abs=0.01)


@pytest.mark.parametrize(
    ("given", "sentence"), [("age=30", "Age 30 a is outside 35 to 120"), ("weight=70", "has no input weight")]
)
def test_what_is_refused_is_said_and_ends_with_1(given: str, sentence: str) -> None:
    done = _run("fib4", *FIB4[1:], given)
    assert done.exit_code == 1
    assert sentence in done.stdout


@pytest.mark.parametrize("arguments", [["fib5"], ["fib4", "age"], ["fib4", "--patient", "sample:nobody"]])
def test_a_name_or_an_input_that_cannot_be_used_ends_with_2(arguments: list[str]) -> None:
    done = _run(*arguments)
    assert done.exit_code == 2
    assert done.stderr.strip()


def test_the_inputs_come_from_a_chart_and_what_it_does_not_say_is_named() -> None:
    done = _run("kfre_4", "--patient", "sample:ckd-uacr", "--json")
    assert done.exit_code == 0, done.stderr
    two, five = json.loads(done.stdout)
    assert (two["value"], five["value"]) == (pytest.approx(0.0278, abs=1e-3), pytest.approx(0.0841, abs=1e-3))
    stroke = _run("cha2ds2_vasc", "--patient", "sample:af-no-anticoagulant")
    assert "score: 7" in stroke.stdout
    absent = "Not found in the chart, so counted as no: heart failure, vascular disease."
    assert absent in " ".join(stroke.stdout.split())


def test_what_is_given_wins_over_the_chart() -> None:
    done = _run("kfre_4", "calibration=north_america", "uacr=3 mg/mmol", "--patient", "sample:ckd-uacr", "--json")
    _, five = json.loads(done.stdout)
    assert five["value"] < 0.03


@for_rows(
    ("name", "sample", "reason"),
    [
        ("prevent_base", "planning-talk", "excluded"),
        ("kfre_4", "dialysis", "excluded"),
        ("cha2ds2_vasc", "healthy-adult", "outside-population"),
        ("prevent_base", "sparse-record", "input-missing"),
    ],
)
def test_whom_an_equation_is_not_for_gets_no_value(name: str, sample: str, reason: str) -> None:
    done = _run(name, "--patient", f"sample:{sample}", "--json")
    assert done.exit_code == 1
    assert {each["refused"] for each in json.loads(done.stdout)} == {reason}


_HEAD = "id,payer,system,code,category,covered,pa_needed,effective_from,source\n"


def own_folder(folder: Path, row: str) -> str:
    """A payer's folder of one row."""
    folder.mkdir()
    (folder / "payers.csv").write_text("payer,name,names,plans,identifiers\nown,Own Health Plan,,,\n")
    (folder / "policies.csv").write_text(_HEAD + row + "\n")
    return str(folder)


def test_a_check_counts_the_rows_of_each_payer_and_names_what_is_wrong(tmp_path: Path) -> None:
    good = own_folder(tmp_path / "good", "a,own,HCPCS,B4150,Formula,listed,auth-needed,2026-01-01,policy 1")
    done = run_program("rules", "check", good)
    assert done.returncode == 0, done.stderr
    assert "own: 1 rows" in done.stdout
    assert "medicare: " in done.stdout
    bad = own_folder(tmp_path / "bad", "a,own,HCPCS,B4150,Formula,listed,auth-needed,soon,policy 1")
    done = run_program("rules", "check", bad)
    assert done.returncode == 1
    assert "policies.csv, line 2: 'soon' is no day" in done.stderr
    (Path(good) / "proposals.csv").write_text("payer,kind\nown,gift\n")
    done = run_program("rules", "check", good)  # a server reads this file, too
    assert done.returncode == 1
    assert "proposals.csv, line 1" in done.stderr


def test_a_check_runs_the_cases_of_the_folder_and_names_those_that_are_answered_otherwise(tmp_path: Path) -> None:
    folder = own_folder(tmp_path / "own", "a,own,HCPCS,L5856,Knee,listed,auth-needed,2026-01-01,policy 1")
    asked = {"covered": "conditional", "pa-needed": "auth-needed", "doc-needed": "clinical"}
    case = {"id": "knee", "payer": "own", "day": "2026-11-20", "chart": [patient(), order("L5856")]}
    right = case | {"expected": {"DeviceRequest/order-l5856": asked}}
    wrong = case | {"id": "nobody", "chart": [order("L5856")], "expected": {"DeviceRequest/order-l5856": asked}}
    (tmp_path / "own" / "cases").mkdir()
    file = tmp_path / "own" / "cases" / "knees.json"
    file.write_text(json.dumps([right]))
    done = run_program("rules", "check", folder)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 cases, 0 wrong.")
    file.write_text(json.dumps([right, wrong]))
    done = run_program("rules", "check", folder)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "2 cases, 1 wrong.")
    assert "knees.json, nobody: expected" in done.stderr


def test_metrics_say_what_was_answered_and_nothing_of_the_patient(tmp_path: Path) -> None:
    asyncio.run(ask(tmp_path, {"x": ([order("L5856")], [patient(), coverage()])}))
    done = run_program("record", "export", "--format", "crd", "--database", record_in(tmp_path))
    assert done.returncode == 0, done.stderr
    (metric,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (metric["source"], metric["hookType"], metric["httpResponse"]) == ("payer-src", "order-sign", 200)
    assert metric["requestTime"] <= metric["responseTime"]
    (coverage_info,) = metric["response"][0]["coverageInfo"]
    assert (coverage_info["covered"], coverage_info["paNeeded"]) == ("conditional", "performpa")
    assert coverage_info["assertionId"]
    assert metric["orderDetail"][0]["coding"][0]["code"] == "L5856"
    for required in ("hookInstance", "providerId", "groupId", "payerId"):
        assert metric[required]
    assert "Patient" not in done.stdout
    assert metric["payerId"]["value"] == "https://www.medicare.gov"
