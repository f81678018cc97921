"""What is being tried is taken back where the report has a figure to act on, and by nobody else."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cds_hooks.call.hold_back.released import Released, State
from cds_hooks.evidence.monitor.judging import take_back, to_take_back
from cds_hooks.people.governance.acts import ActState
from cds_hooks.people.governance.releases import Releases
from models_onnx.monitoring.figure import SCORES, Figure
from tests.cds_hooks.evidence.monitor.test_report import record, run
from tests.cds_hooks.people.governance.clicking import put_command
from tests.each import for_rows
from tests.live import record_in

__all__ = ["record"]


def _act(url: str, state: ActState, name: str = "model") -> None:
    put_command(url, state, "model", name, share=5)


def _state(url: str) -> State:
    found = Releases(None)
    found.read(url)
    return found.current.states["model", "model"]


@pytest.fixture
def tried(record: str, tmp_path: Path) -> str:
    """The record with a laboratory that changes its unit, where the model is in canary."""
    file = tmp_path / "tried.sqlite3"
    shutil.copy(record.removeprefix("sqlite:///"), file)
    url = f"sqlite:///{file}"
    for state in ("shadow", "canary"):
        _act(url, state)
    return url


def test_a_report_takes_the_model_back_whose_inputs_came_in_another_unit(tried: str, tmp_path: Path) -> None:
    done = run(tried, tmp_path / "m.sqlite3", "--rollback", "--json")
    (taken,) = json.loads(done.stdout)["rolled_back"]
    assert (taken["kind"], taken["name"]) == ("model", "model")
    state = _state(tried)
    assert state.state == "shadow"
    assert state.why.startswith("monitor, drift at north: ")
    assert json.loads(run(tried, tmp_path / "m.sqlite3", "--rollback", "--json").stdout)["rolled_back"] == []


@pytest.mark.slow
def test_days_without_a_fault_and_reports_without_the_option_take_nothing_back(tried: str, tmp_path: Path) -> None:
    clean = run(tried, tmp_path / "m.sqlite3", "--rollback", "--until", "2026-09-28")
    assert clean.exit_code == 0, clean.output
    assert run(tried, tmp_path / "m.sqlite3").exit_code == 1
    assert _state(tried).state == "canary"


@pytest.mark.slow
def test_after_a_rollback_people_bring_it_back_step_by_step(tried: str, tmp_path: Path) -> None:
    run(tried, tmp_path / "m.sqlite3", "--rollback")
    _act(tried, "active")
    assert _state(tried).state == "shadow", "active comes after canary"
    _act(tried, "canary")
    assert _state(tried).state == "canary"


@pytest.mark.slow
def test_a_forged_rollback_does_not_count(tried: str, tmp_path: Path) -> None:
    run(tried, tmp_path / "m.sqlite3", "--rollback")
    with closing(sqlite3.connect(tried.removeprefix("sqlite:///"))) as connection, connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'events'")
        for (name,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE events SET detail = replace(detail, 'drift', 'alerts') WHERE kind LIKE 'auto%'")
    found = Releases(None)
    found.read(tried)
    assert found.current.states["model", "model"].state == "canary"
    assert "it was changed after it was written" in found.refused[0]


def _figure(family: str, subject: str, state: str = "act", service: str = "planning-conversation") -> Figure:
    about = SCORES if "@" in subject else subject
    return Figure("north", service, family, subject, state, 500, 100, 1.0, 0.0, "A sentence.", about=about)  # type: ignore[arg-type]


_SCORES = _figure("drift", "mortality_5y@2.1.0", "good")


@for_rows(
    ("key", "state", "figure", "is_taken"),
    [
        (("model", "mortality_5y"), "canary", _figure("errors", ""), True),
        (("model", "mortality_5y@3.0.0"), "canary", _figure("missing", "albumin"), True),
        (("model", "mortality_5y@3.0.0"), "active", _figure("drift", "mortality_5y@3.0.0"), True),
        (("model", "mortality_5y"), "active", _figure("errors", ""), False),
        (("model", "mortality_5y"), "shadow", _figure("errors", ""), False),
        (("model", "mortality_5y"), "canary", _figure("calls", ""), False),
        (("model", "mortality_5y"), "canary", _figure("errors", "", "watch"), False),
        (("model", "mortality_5y"), "canary", _figure("errors", "", service="order-safety"), False),
        (("rule", "renal-metformin"), "canary", _figure("alerts", "renal-metformin", service="order-safety"), True),
        (("rule", "renal-metformin"), "canary", _figure("alerts", "renal-lithium", service="order-safety"), False),
        (("service", "planning-conversation"), "off", _figure("errors", ""), False),
    ],
)
def test_only_what_is_tried_and_concerned_is_taken_back(
    key: tuple[str, str], state: str, figure: Figure, is_taken: bool
) -> None:
    released = Released({key: State(state)})  # type: ignore[arg-type]
    assert [(each.kind, each.name) for each in to_take_back(released, [_SCORES, figure])] == [key] * is_taken


def test_what_a_person_switched_off_meanwhile_stays_off(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    for state in ("shadow", "canary"):
        _act(url, state)
    found = Releases(None)
    found.read(url)
    rollbacks = to_take_back(found.current, [_figure("drift", "model@1")])
    _act(url, "off")
    take_back(url, rollbacks)
    assert _state(url).state == "off"
