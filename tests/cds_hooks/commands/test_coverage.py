"""`cds-hooks coverage`: the check of policies, changes of a list, a count over charts; the export of CRD's metrics."""

import asyncio
import json
from pathlib import Path

from tests.cds_hooks.services.coverage_calls import ask, bundle, coverage, order, patient
from tests.live import record_in
from tests.program import run_program

_HEAD = "id,payer,system,code,category,covered,pa_needed,effective_from,source\n"


def own_folder(folder: Path, row: str) -> str:
    """A payer's folder of one row."""
    folder.mkdir()
    (folder / "payers.csv").write_text("payer,name,names,plans,identifiers\nown,Own Health Plan,,,\n")
    (folder / "policies.csv").write_text(_HEAD + row + "\n")
    return str(folder)


def test_a_check_counts_the_rows_of_each_payer_and_names_what_is_wrong(tmp_path: Path) -> None:
    good = own_folder(tmp_path / "good", "a,own,HCPCS,B4150,Formula,listed,auth-needed,2026-01-01,policy 1")
    done = run_program("coverage", good)
    assert done.returncode == 0, done.stderr
    assert "own: 1 rows" in done.stdout
    assert "medicare: " in done.stdout
    bad = own_folder(tmp_path / "bad", "a,own,HCPCS,B4150,Formula,listed,auth-needed,soon,policy 1")
    done = run_program("coverage", bad)
    assert done.returncode == 1
    assert "policies.csv, line 2: 'soon' is no day" in done.stderr
    (Path(good) / "proposals.csv").write_text("payer,kind\nown,gift\n")
    done = run_program("coverage", good)  # a server reads this file, too
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
    done = run_program("coverage", folder)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 cases, 0 wrong.")
    file.write_text(json.dumps([right, wrong]))
    done = run_program("coverage", folder)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "2 cases, 1 wrong.")
    assert "knees.json, nobody: expected" in done.stderr


def test_changes_between_two_days_of_service_are_listed(tmp_path: Path) -> None:
    done = run_program("coverage", "--changes", "2024-08-11", "2026-04-13")
    assert "- L1833 " in done.stdout
    assert "+ L1844 " in done.stdout
    assert run_program("coverage", "--changes", "yesterday", "2026-04-13").returncode == 2


def test_a_simulation_counts_by_code_how_many_orders_need_authorization(tmp_path: Path) -> None:
    for number in range(3):
        orders = [order("L5856"), order("E0651")] if number else [order("L5856")]
        (tmp_path / f"{number}.json").write_text(json.dumps(bundle([patient(), *orders])))
    done = run_program("coverage", "--charts", str(tmp_path), "--json")
    assert json.loads(done.stdout) == [
        {"code": "E0651", "covered": "conditional", "pa_needed": "performpa", "orders": 2},
        {"code": "L5856", "covered": "conditional", "pa_needed": "performpa", "orders": 3},
    ]
    assert run_program("coverage", "--charts", str(tmp_path), "--payer", "nobody").returncode == 2


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
