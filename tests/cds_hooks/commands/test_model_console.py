"""What the commands about models share: a proposal to recalibrate, a comparison, tables that fit, faults in words."""

import json
from datetime import date
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from cds_hooks.commands.model import console
from fhir.record.charts import ChartsRefused
from models_onnx.errors import UnknownModel
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.workbench.gates.checks.figures import CALIBRATION, ENOUGH_EVENTS, SLOPE_ACT

LOW, HIGH = CALIBRATION
SLOW, STEEP = SLOPE_ACT
NONE = "No recalibration is proposed: observed/expected and slope may be within their limits."


def proposal(ratio: tuple[float, float], slope: tuple[float | None, float | None], events: int = ENOUGH_EVENTS) -> str:
    whole = {
        "events": events,
        "observed_expected": {"value": 1.5, "low": ratio[0], "high": ratio[1]},
        "calibration_slope": {"value": 0.8, "low": slope[0], "high": slope[1]},
        "calibration_intercept": {"value": 0.25},
    }
    return console._proposal(SimpleNamespace(whole=whole, manifest=SimpleNamespace(id="m"), rows=Path("rows.csv")))


def test_few_events_propose_nothing() -> None:
    few = f"No recalibration is proposed: {ENOUGH_EVENTS - 1} events, {ENOUGH_EVENTS} are needed."
    assert proposal((9.0, 9.5), (None, None), ENOUGH_EVENTS - 1) == few


def test_intervals_that_reach_the_limits_propose_nothing() -> None:
    assert proposal((HIGH, 9.0), (None, None)) == proposal((0.0, LOW), (SLOW, SLOW)) == NONE
    assert proposal((LOW, HIGH), (STEEP, 9.0)) == NONE


def test_an_interval_beyond_the_limits_proposes_a_new_intercept_and_one_of_the_slope_both() -> None:
    start = (
        "These people have 1.50 times the events expected (intercept +0.25, slope 0.80). Proposed as a new version, "
        "which changes nothing until it is released: cds-hooks model recalibrate m --table rows.csv"
    )
    assert proposal((HIGH + 0.01, 9.0), (None, None)) == f"{start} --folder FOLDER"
    assert proposal((0.0, LOW - 0.01), (SLOW, STEEP)) == f"{start} --folder FOLDER"
    for slope in ((0.0, SLOW - 0.01), (STEEP + 0.01, 9.0)):
        assert proposal((LOW, HIGH), slope) == f"{start} --slope --folder FOLDER"


def test_a_model_that_was_trained_again_is_held_against_the_committed_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    members: dict[str, Any] = {
        "trained_sha256": "a" * 64, "committed_sha256": "b" * 64, "same_hash": False, "same_data": True,
        "people": 12345, "probability": 0.000123, "auroc": 0.00136,
    }  # fmt: skip
    monkeypatch.setenv("COLUMNS", "100")
    console.show_comparison(SimpleNamespace(**members, passed=False), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert lines[0].strip() == "Trained again, compared with the artifact"
    assert rows == [
        ["sha256", "a" * 16, "b" * 16],
        ["same file", "no", ""],
        ["same data", "yes", ""],
        ["largest difference, 12,345 people", "1.2e-04", "limit 1e-04"],
        ["AUROC differs by", "0.0014", "limit 0.002"],
    ]
    assert lines[-1] == "DOES NOT AGREE with the committed artifact."
    console.show_comparison(SimpleNamespace(**members, passed=True), as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "Agrees."


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError(name="skops"), "skops is not installed; this needs the extra: cds-hooks-onnx[adopt]"),
        (ModuleNotFoundError(name="numpy"), "numpy is not installed; this needs the extra: cds-hooks-onnx[train]"),
        (UnknownModel("there is no model m"), "there is no model m"),
        (ChartsRefused("no chart"), "no chart"),
        (FileNotFoundError(2, "No such file", "a.csv"), "a.csv: No such file."),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_in_a_sentence(
    error: Exception, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, console.problems():
        raise error
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == f"{words}\n"
    with pytest.raises(KeyError), console.problems():
        raise KeyError("a mistake of the program")


def test_the_declarations_are_those_that_were_named_or_those_beside_the_model(tmp_path: Path) -> None:
    assert console.own_specs(None, ARTIFACTS, "mortality_5y") is None
    assert console.own_specs(None, tmp_path, "m@2") is None
    (tmp_path / "m.py").write_text("")
    assert console.own_specs(None, tmp_path, "m@2") == tmp_path
    assert console.own_specs(None, tmp_path, "n") is None
    assert console.own_specs(tmp_path / "specs", tmp_path, "m") == tmp_path / "specs"
    assert console.own_specs(None, tmp_path / "none", "m") is None


def test_the_day_and_the_instant_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime

    at = datetime(2026, 11, 20, 9, 0, 1, 500_000, tzinfo=UTC)
    monkeypatch.setattr(console, "settings", lambda: SimpleNamespace(as_of=at))
    assert console.today() == date(2026, 11, 20)
    assert console.moment() == "2026-11-20T09:00:01+00:00"
    monkeypatch.setattr(console, "settings", lambda: SimpleNamespace(as_of=None))
    before = datetime.now(UTC)
    assert console.moment()[:10] in {str(before.date()), str(console.today())}


def test_other_rows_are_told_with_whom_they_leave_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from models_onnx.workbench.release import documentation

    monkeypatch.setattr(documentation, "groups_tables", lambda *words: f"{words}\n")
    whole = {
        "events": 1, "observed_expected": {"value": 1.0, "low": 1.0, "high": 1.0},
        "calibration_slope": {"value": 1.0, "low": 1.0, "high": 1.0}, "calibration_intercept": {"value": 0.0},
    }  # fmt: skip
    manifest = SimpleNamespace(id="m", version="2", file=SimpleNamespace(sha256="cafe"), row_words="people")
    left_out = [SimpleNamespace(words="under 18", count=1234)]
    evaluated = SimpleNamespace(
        cohort=SimpleNamespace(left_out=left_out), manifest=manifest, whole=whole, subgroups={"sex": {}}, rows="t.csv"
    )
    console.show_other_rows(evaluated, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "left out: under 18: 1,234",
        f"{('these rows', whole, {'sex': {}}, 'people')}",
        f"No recalibration is proposed: 1 events, {ENOUGH_EVENTS} are needed.",
    ]
    console.show_other_rows(evaluated, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "model": {"id": "m", "version": "2", "sha256": "cafe"},
        "left_out": [{"words": "under 18", "count": 1234}],
        "all": whole,
        "subgroups": {"sex": {}},
    }


def test_a_manifest_is_shown_as_its_page_or_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def model_page(*given: Any, folder: Any) -> str:
        asked.append((*given, folder))
        return "# A page\n"

    monkeypatch.setattr("models_onnx.workbench.release.documentation.model_page", model_page)
    manifest: Any = {"id": "m"}
    console.show_evaluation(manifest, as_json=True)
    assert (json.loads(capsys.readouterr().out), asked) == ({"id": "m"}, [])
    console.show_evaluation(manifest, as_json=False)
    assert (capsys.readouterr().out, asked) == ("# A page\n", [(manifest, None)])


class Stream(StringIO):
    """A terminal, or a pipe."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.mark.parametrize("is_terminal", [True, False])
def test_markdown_is_drawn_in_a_terminal_and_stays_text_in_a_pipe(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(is_terminal)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout", stream)
    console.print_markdown("# A page\n\n- one\n")
    assert ("# A page" in stream.getvalue(), "•" in stream.getvalue()) == (not is_terminal, is_terminal)
    assert console.wide_console().width == (60 if is_terminal else 132)


@pytest.mark.parametrize(("quiet", "is_terminal"), [(False, True), (True, True), (False, False)])
def test_each_step_has_one_bar_on_a_terminal(quiet: bool, is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(is_terminal)
    monkeypatch.setattr("sys.stderr", stream)
    with console.progress_bars(quiet) as step:
        for done in (1, 2):
            step("rows", done, 40)
        step("people", 3, 50)
    drawn = stream.getvalue()
    assert ("2/40" in drawn, "3/50" in drawn) == (is_terminal and not quiet,) * 2
