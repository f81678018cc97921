"""What the commands about models say of what was trained, of versions, gates and approximations, word for word."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from cds_hooks.commands.model import versions
from cds_hooks.commands.model.adding import _apart, _groups, _show
from cds_hooks.commands.model.release import written_or_exit
from models_onnx.artifact.release_file import parse_release
from models_onnx.errors import CompileRefused
from models_onnx.serving.registry import ARTIFACTS

HOME = ARTIFACTS / "mortality_5y"
SERVED = parse_release(HOME).files["model.onnx"].sha256
AT = datetime(2026, 11, 20, 9, tzinfo=UTC).isoformat()


def _trained(folder: Path | None, floors: list[tuple[str, float | None, float, bool]], leaks: tuple[str, ...]) -> Any:
    rows = [{"name": name, "value": value, "limit": limit, "passed": ok} for name, value, limit, ok in floors]
    return SimpleNamespace(folder=folder, manifest=SimpleNamespace(evaluation={"floors": rows}), leaks=leaks)


def test_where_a_floor_fails_each_that_did_is_named_and_each_leak(capsys: pytest.CaptureFixture[str]) -> None:
    floors = [("auroc", 0.61234, 0.7, False), ("slope", None, 0.8, False), ("events", 900.0, 100.0, True)]
    with pytest.raises(typer.Exit) as ended:
        written_or_exit(_trained(None, floors, ("age tells the outcome", "id does, too")))
    printed = capsys.readouterr()
    assert (ended.value.exit_code, printed.out) == (1, "")
    assert printed.err == (
        "Nothing was written, because a floor of the declaration does not hold: auroc is 0.612, the floor is 0.7; "
        "slope is not computable, the floor is 0.8.\n"
        "This is a leak: age tells the outcome.\n"
        "This is a leak: id does, too.\n"
    )


def test_what_was_written_is_named_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert written_or_exit(_trained(Path("models/m"), [], ()), " (version 2)") == Path("models/m")
    assert capsys.readouterr() == ("", "Written: models/m (version 2)\n")


def _gates(green: int, waived: list[str], red: list[str]) -> str:
    return versions._gates(SimpleNamespace(green=["G"] * green, waived=waived, red=red))


def test_gates_are_counted_and_those_that_are_not_green_are_named() -> None:
    assert versions._gates(None) == "not run"
    assert _gates(18, [], []) == "18 green"
    assert _gates(16, ["G9", "G10"], []) == "16 green, 2 waived (G9, G10)"
    assert _gates(16, ["G9"], ["G12"]) == "16 green, 1 waived (G9), 1 red (G12)"
    assert _gates(0, [], ["G1", "G2"]) == "0 green, 2 red (G1, G2)"


def _act(state: str, version: str) -> dict[str, Any]:
    return {"state": state, "at": AT, "by": "Ann", "role": "owner", "why": "x", "version": version}


@pytest.mark.parametrize(
    "acts",
    [
        [],
        [_act("active", "")],
        [_act("active", SERVED)],
        [_act("shadow", "0" * 64)],
        [_act("active", "0" * 64), _act("canary", SERVED)],
        [_act("active", "0" * 64), _act("retired", "1" * 64)],
        [_act("active", SERVED), _act("canary", "")],
    ],
)
def test_an_act_of_the_version_in_use_and_one_that_shows_nothing_need_no_note(acts: list[dict[str, Any]]) -> None:
    assert versions._note(HOME, acts) == ""


@pytest.mark.parametrize("state", ["canary", "active"])
def test_an_act_of_another_version_is_a_note(state: str) -> None:
    for acts in ([_act(state, "0" * 64)], [_act("shadow", SERVED), _act(state, "0" * 64), _act("off", "")]):
        assert versions._note(HOME, acts) == (
            f"The last act of release ({state}, {AT}) is of another version: this one is computed and not shown until "
            "cds-hooks release set canary model mortality_5y."
        )


def test_a_history_tells_each_step_entry_and_act(capsys: pytest.CaptureFixture[str]) -> None:
    step = SimpleNamespace(at="T1", state="validated", by="Ann", role="owner", why="gates green")
    bare = SimpleNamespace(at="T0", state="draft", by="Bob", role="author", why="")
    entry = SimpleNamespace(at="T2", version="2.0.0", by="Cid", why="published")
    good = SimpleNamespace(
        version="2.0.0", is_in_use=True, digest="0123456789abcdef", state="validated", gates=None, signed_by="k1",
        aliases=["a", "b"], problem=None, no_cards=None, steps=[bare, step], in_use=[entry],
    )  # fmt: skip
    bad = SimpleNamespace(
        version="1.0.0", is_in_use=False, digest="fedcba9876543210", state="draft", gates=None, signed_by="",
        aliases=[], problem="changed", no_cards="a draft", steps=[], in_use=[],
    )  # fmt: skip
    versions._show("m", [good, bad], [_act("canary", "c" * 64)], "there is no record")
    printed = capsys.readouterr()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.out.splitlines() if "│" in line]
    assert cells == [
        ["2.0.0", "yes", "0123456789ab", "validated", "not run", "k1", "a, b", "yes", "yes"],
        ["1.0.0", "", "fedcba987654", "draft", "not run", "nobody trusted here", "", "no: changed", "no: a draft"],
    ]
    assert printed.out.splitlines()[-4:] == [
        "  T0 2.0.0 draft by Bob (author)",
        "  T1 2.0.0 validated by Ann (owner): gates green",
        "  T2 2.0.0 came into use, by Cid: published",
        f"  {AT} act canary by Ann (owner), file {'c' * 12}: x",
    ]
    assert printed.err == "Acts of release were not read: there is no record\n"
    versions._show("m", [bad], [], "")
    assert capsys.readouterr().err == ""


def test_a_version_is_named_with_the_beginning_of_its_digest() -> None:
    version = SimpleNamespace(version="2.0.0", digest="0123456789abcdef", state="draft")
    assert versions._words(version) == "2.0.0 (0123456789ab)"
    assert versions._words(SimpleNamespace(version="2.0.0", digest="")) == "2.0.0 (draft)"
    members = {"version": "2.0.0", "digest": "0123456789abcdef", "state": "draft"}
    assert versions._version_summary(version) == members


def test_groups_are_declared_by_a_name_and_its_inputs() -> None:
    assert _groups([]) == {}
    assert _groups(["kidney=egfr,uacr", "age=age"]) == {"kidney": ["egfr", "uacr"], "age": ["age"]}
    for text in ("kidney", "=egfr", "kidney="):
        with pytest.raises(CompileRefused) as refused:
            _groups([text])
        assert str(refused.value) == f"--group {text}: write NAME=INPUT,INPUT"


def _compiled(approximation: dict[str, float] | None, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    agreement = {"rows": 500, "rows_with_missing": 20, "probability": 1e-7, "contribution": 2e-6, "additivity": 3e-8}
    report = {
        "form": "trees", "features": ["a", "b", "c"], "groups": ["a", "b"], "explanation": "exact",
        "agreement": agreement, "approximation": approximation, "bytes": 12345, "sha256": "ab" * 8,
    }  # fmt: skip
    _show(report, Path("m.onnx"))
    rows: list[tuple[str, str]] = []
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("│"):
            name, value = (cell.strip() for cell in line.split("│")[1:-1])
            rows = [*rows, (name, value)] if name else [*rows[:-1], (rows[-1][0], f"{rows[-1][1]} {value}")]
    return rows


def test_a_compiled_file_is_told_with_its_proof(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    rows = [
        ("form", "trees"),
        ("inputs", "3"),
        ("explained as", "2"),
        ("explanation", "exact"),
        ("rows of the proof", "500, 20 with something missing"),
        ("largest difference", "probability 1.0e-07, contribution 2.0e-06, sum 3.0e-08"),
        ("bytes", "12,345"),
        ("sha256", "ab" * 8),
    ]
    assert _compiled(None, capsys) == rows
    shares = {"strongest": 0.934, "difference": 0.1251}
    words = (
        "the strongest input is that of Shapley values for 93 in 100 people; contributions are 0.13 apart on average. "
        "Not for cards (gate G6)"
    )
    assert _apart(shares) == words
    assert _compiled(shares, capsys) == [*rows[:6], ("approximation", words), *rows[6:]]
