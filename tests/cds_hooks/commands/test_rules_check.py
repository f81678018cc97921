"""`cds-hooks rules check`, `lint`, `simulate`, `list`, `stats`: their sentences, tables and exit codes."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from cards.extension import EXTENSION_KEY
from cards.rules.engine.governance import all_rule_versions
from cds_hooks.commands.rules import check
from cds_hooks.commands.rules.check import CaseFault, Checked, NoCaseFile
from cds_hooks.commands.rules.main import app
from cds_hooks.replay.simulated_orders import SimulatedFinding, SimulatedOrders
from cds_hooks.settings import Settings
from tests.each import for_rows

RULE = "renal-metformin"
REQUEST: dict[str, Any] = {"request": {}, "expected": {}}


def run(*words: object) -> tuple[int, str, str]:
    """The exit code of the command as typed after `cds-hooks rules`, what was printed, and the errors."""
    done = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "100"})
    return done.exit_code, done.stdout, done.stderr


# Cases


@pytest.mark.parametrize(
    ("content", "kind", "fault"),
    [
        (None, CaseFault, "cannot be read: No such file or directory"),
        ("[\n{", CaseFault, "line 2 is not valid JSON (unexpected end of data)"),
        ("3", NoCaseFile, "holds neither a list of short cases nor a request with what is expected"),
        ("{}", NoCaseFile, "holds neither a list of short cases nor a request with what is expected"),
        ('{"request": {}}', NoCaseFile, "holds neither a list of short cases nor a request with what is expected"),
        ('{"expected": {}}', NoCaseFile, "holds neither a list of short cases nor a request with what is expected"),
        (
            '[{"kind": "fires"}, {}]',
            NoCaseFile,
            "holds neither a list of short cases nor a request with what is expected",
        ),
        ('[{"kind": "fires"}]', CaseFault, "is named after no rule: there is none called none"),
    ],
)
def test_a_file_without_cases_is_told_from_one_of_another_kind(
    content: str | None, kind: type[CaseFault], fault: str, tmp_path: Path
) -> None:
    file = tmp_path / "none.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(CaseFault) as refused:
        check.check_file(file, Settings())
    assert (type(refused.value), str(refused.value)) == (kind, fault)


def test_a_short_case_says_what_it_is_and_about_what() -> None:
    good = {"kind": "fires", "about": "lt30"}
    for number, case, lacks in (
        (1, {"kind": "fires"}, "about"),
        (2, {"about": "lt30", "kind": 3}, "kind"),
        (2, {"kind": None, "about": 3}, "kind and about"),
    ):
        with pytest.raises(CaseFault) as refused:
            check._short_cases(RULE, [good, case] if number == 2 else [case])
        assert str(refused.value) == f"case {number} lacks {lacks}, each a string"


def test_a_whole_request_is_named_by_its_id_or_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(case: Any, _: Settings) -> httpx.Response:
        if case["request"]:
            raise AttributeError("no hook")
        return httpx.Response(503)

    monkeypatch.setattr(check, "_answer", answer)
    file = tmp_path / "ours.json"
    file.write_text(json.dumps(REQUEST))
    assert check.check_file(file, Settings()) == [Checked("ours", ("answered 503",))]
    file.write_text(json.dumps(REQUEST | {"id": 7, "request": {"hook": 1}}))
    assert check.check_file(file, Settings()) == [Checked("7", ("the case cannot be read (AttributeError: no hook)",))]


def test_what_is_wrong_and_what_was_left_out_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check_file(path: Path, _: Settings) -> list[Checked]:
        if path.stem.startswith("none"):
            raise NoCaseFile("of another kind")
        if path.stem == "torn":
            raise CaseFault("is torn")
        return [Checked(f"{path.stem} 1", ("a", "b") if path.stem == "wrong" else ()), Checked(f"{path.stem} 2", ())]

    monkeypatch.setattr(check, "check_file", check_file)
    (tmp_path / "inner").mkdir()
    for name in ("right", "inner/none1", "none2", "none3", "none4", "none5", "table"):
        (tmp_path / f"{name}.json").write_text("")
    (tmp_path / "other.txt").write_text("")
    left_out = "No cases, left out: none1.json, none2.json, none3.json, none4.json, none5.json"
    assert run("check", tmp_path) == (0, f"{left_out}.\n4 cases, 0 wrong.\n", "")
    for name in ("none6", "none7", "torn", "wrong"):
        (tmp_path / f"{name}.json").write_text("")
    said = f"torn.json: is torn\nwrong 1: a; b\n{left_out} and 2 more.\n7 cases, 2 wrong.\n"
    assert run("check", tmp_path) == (1, said, "")
    alone = tmp_path / "none2.json"
    assert run("check", alone) == (1, "none2.json: of another kind\n1 cases, 1 wrong.\n", "")
    code, shown, _ = run("check", "--json", alone, tmp_path / "wrong.json", tmp_path / "inner")
    assert (code, json.loads(shown)) == (
        1,
        {"cases": [{"case": "none2.json", "faults": ["of another kind"]}, {"case": "wrong 1", "faults": ["a", "b"]},
                   {"case": "wrong 2", "faults": []}], "wrong": 2, "left_out": ["none1.json"]},
    )  # fmt: skip
    assert run("check", tmp_path / "inner") == (1, "No cases, left out: none1.json.\n0 cases, 0 wrong.\n", "")


def test_the_faults_of_files_and_families_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "rule_families", lambda: ["renal", "genes"])
    monkeypatch.setattr(check, "file_faults", lambda: ["a file"])
    monkeypatch.setattr(check, "lint_family", lambda family: [f"a rule of {family}"])
    assert run("check") == (1, "a file\na rule of renal\na rule of genes\n3 wrong.\n", "")
    number = len(all_rule_versions())
    code, shown, _ = run("check", "--json")
    faults = ["a file", "a rule of renal", "a rule of genes"]
    assert (code, json.loads(shown)) == (1, {"rules": number, "families": 2, "faults": faults})
    monkeypatch.setattr(check, "file_faults", list)
    monkeypatch.setattr(check, "lint_family", lambda _: [])
    assert run("check") == (0, f"{number} rules in 2 families.\nNothing wrong.\n", "")


# Simulation


def test_what_rules_say_of_orders_is_a_table_the_most_frequent_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []
    often = [SimulatedFinding("often", f"b{number}", "warning", "d", f"text {number}") for number in range(3)]
    once = [SimulatedFinding("once", "b", "critical", "d", "text")]

    def simulate(counted: SimulatedOrders, resources: Any, orders: int, _: Any) -> None:
        asked.append((resources, orders))
        counted.orders, counted.charts, counted.with_card = counted.orders + 100, counted.charts + 1, 2
        counted.findings = {"once": once, "often": often}

    charts = [SimpleNamespace(patient="p1", resources=["r1", "r2"]), SimpleNamespace(patient="p2", resources=[])]
    monkeypatch.setattr(check, "read_charts", lambda _, unreadable: unreadable("x is torn") or charts)
    monkeypatch.setattr(check, "simulate", simulate)
    code, shown, errors = run("simulate", tmp_path)
    table = [
        "rule    per 100   times   examples",
        "often      1.50       3   b0: text 0",
        "                          b1: text 1",
        "once       0.50       1   b: text",
    ]
    head, *rows = [" ".join(line.split()) for line in shown.splitlines() if line.strip(" ─")]
    assert head.startswith("200 orders of 2 patients: 2 with a card (1.0 per 100; none), 0 of them")
    assert (code, rows[-4:], errors) == (0, [" ".join(row.split()) for row in table], "Left out: x is torn.\n")
    words = ("--orders", 3, "--examples", 1, "--json")
    document = json.loads(run("simulate", tmp_path, *words)[1])
    assert (document["cards_per_100_orders"], len(document["rules"]["often"]["examples"])) == (1.0, 1)
    assert asked == [(["p1", "r1", "r2"], 10), (["p2"], 10), (["p1", "r1", "r2"], 3), (["p2"], 3)]
    charts.clear()
    none = f"Left out: x is torn.\n{tmp_path} holds no chart with dated medication orders.\n"
    assert run("simulate", tmp_path) == (2, "", none)
    (tmp_path / "rules.toml").write_text("nonsense = 1\n")
    code, shown, errors = run("simulate", tmp_path, "--file", tmp_path / "rules.toml")
    assert (code, shown, errors.startswith(str(tmp_path)) or "rules.toml" in errors, errors[-2:]) == (
        1, "", True, ".\n",
    )  # fmt: skip


# The list, and what was counted


def test_rules_to_review_are_those_of_a_family_and_a_bar_asks_for_a_note() -> None:
    of_family = [version for version in all_rule_versions().values() if version.table.family == "renal"]
    lines: list[str] = []
    for version in of_family:
        bar = " |" if version.rule.audit.verified == "needs label check" else ""
        lines += [f"# {version.rule.title}", f"{version.rule.id} {version.digest}{bar}"]
    assert run("check", "--to-review", "--family", "renal") == (0, "\n".join(lines) + "\n", "")
    assert run("check", "--to-review")[1].count("# ") == len(all_rule_versions())


def _answer(*findings: tuple[str, str, str], status: int = 200) -> httpx.Response:
    cards = [
        {"indicator": indicator, "extension": {EXTENSION_KEY: {"findings": [{"rule": rule, "band": band}]}}}
        for rule, band, indicator in findings
    ]
    return httpx.Response(status, json={"cards": cards})


def _faults(expected: dict[str, Any], *findings: tuple[str, str, str], status: int = 200) -> list[str]:
    return check._compare(_answer(*findings, status=status), {"expected": expected})


def test_what_a_case_expects_is_compared_with_what_was_found() -> None:
    kidney, dose = ("renal-x", "lt30", "critical"), ("dose-max", "over", "warning")
    wanted = {"findings": [{"rule": "renal-x", "band": "lt30", "indicator": "critical"}]}
    assert _faults(wanted, status=500) == ["answered 500"]
    assert _faults(wanted, kidney) == []
    assert _faults(wanted) == ["no finding renal-x/lt30", "no critical card"]
    assert _faults(wanted, ("renal-x", "lt45", "critical")) == ["no finding renal-x/lt30"]
    assert _faults(wanted, ("renal-x", "lt30", "warning")) == ["no critical card"]
    assert _faults(wanted, kidney, dose) == []
    other = {
        "findings": [
            {"rule": "renal-x", "band": "lt45", "indicator": "warning", "band_alternatives": ["lt30 shown as warning"]}
        ]
    }
    assert _faults(other, kidney) == []
    assert _faults({"silent": True}) == []
    assert _faults({"silent": True}, kidney, dose) == [
        "found dose-max/over (warning), which must not be found",
        "found renal-x/lt30 (critical), which must not be found",
    ]
    assert _faults({"silent": True, "allowed_also": ["dose-max"]}, dose) == []
    assert _faults({"silent": True, "allowed_also": ["dose-max/over"]}, dose) == []
    assert _faults({"silent": True, "allowed_also": ["dose-max warning"]}, dose) == []
    assert _faults({"silent": True, "allowed_also": ["dose-max critical"]}, dose) == [
        "found dose-max/over (warning), which must not be found"
    ]
    assert _faults({"silent": True, "must_not_fire": ["dose-max"]}, kidney) == []
    assert _faults({"silent": True, "must_not_fire": ["dose-max"]}, ("dose-low", "x", "info")) == [
        "found dose-low/x (info), which must not be found"
    ]
    assert _faults({"must_not_fire": ["dose-max"]}, dose) == ["found dose-max/over (warning), which must not be found"]
    assert _faults({"must_not_fire": ["dose-max"]}, ("dose-low", "x", "info")) == []


@for_rows(
    ("words", "alone", "forbids"),
    [
        ("warning", False, True),
        ("critical", False, False),
        ("dose-max", False, True),
        ("dose-max/over", False, True),
        ("dose-max/under", False, False),
        ("dose-min", False, False),
        ("dose-max warning", False, True),
        ("dose-max critical", False, False),
        ("dose-max as a separate card", True, True),
        ("dose-max as a separate card", False, False),
        ("dose-max of any kind", False, True),
    ],
)
def test_words_that_forbid_a_finding(words: str, alone: bool, forbids: bool) -> None:
    assert check._forbids(words, "dose-max", "over", "warning", alone=alone) is forbids
