"""A book of counts: days and windows of them, books of another version, and what it remembers of verifications."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from cds_hooks.governance.acts import ActState
from cds_hooks.governance.releases import Releases
from cds_hooks.hold_back.released import Released, State
from cds_hooks.monitor.book import count_decision
from cds_hooks.monitor.judging import FEWEST_CALLS, rules_without_findings, take_back, to_take_back
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import Figure, incidents
from models_onnx.monitoring.judging import Compared
from tests.cds_hooks.governance.clicking import put_command
from tests.cds_hooks.monitor.test_report import record, run
from tests.cds_hooks.storage.samples import a_decision
from tests.each import for_rows
from tests.live import record_in

# Rules of the catalogue that found nothing are named, where enough calls were counted to say so.
DAY = date(2026, 9, 1)
RULES = frozenset({"renal-nsaid", "ddi-statin", "mon-lithium"})


def service(calls: int, name: str = "order-safety", client: str = "north", **counts: dict[str, int]) -> Compared:
    return Compared(client, name, {DAY: DayCounts(calls=calls, **counts)}, {})  # type: ignore[arg-type] # counts by name


def test_a_rule_that_spoke_in_no_day_is_named_and_one_that_was_withheld_is_not() -> None:
    found = service(
        FEWEST_CALLS, rules={"renal-nsaid": 3}, silences={"ddi-statin said-once": 1, "mon-lithium no-rule": 9}
    )
    (figure,) = rules_without_findings([found], RULES)
    assert (figure.state, figure.n, figure.value) == ("watch", FEWEST_CALLS, 1 / 3)
    assert "1 of 3 rules found nothing in 3,000 calls" in figure.text
    assert figure.text.endswith("fewer than 1 of 1,000 (95 % certainty): mon-lithium.")


def test_too_few_calls_are_insufficient_and_calls_of_services_without_rules_do_not_count() -> None:
    few = service(FEWEST_CALLS - 1, rules={"renal-nsaid": 1})
    (figure,) = rules_without_findings([few, service(10_000, "planning-conversation")], RULES)
    assert (figure.state, figure.n) == ("insufficient", FEWEST_CALLS - 1)
    assert rules_without_findings([service(10_000, "planning-conversation")], RULES) == []


def test_each_client_has_a_figure_of_its_own_and_good_is_said_where_all_spoke() -> None:
    both = [
        service(FEWEST_CALLS, rules=dict.fromkeys(RULES, 1)),
        service(FEWEST_CALLS, client="south", rules={"renal-nsaid": 1}),
    ]
    assert [(each.client, each.state) for each in rules_without_findings(both, RULES)] == [
        ("north", "good"),
        ("south", "watch"),
    ]


def test_a_call_that_cannot_be_counted_is_an_incident() -> None:
    day, whole = DayCounts(), DayCounts()
    count_decision(day, a_decision(basis=b'{"prefetch": 3}'))
    assert (day.calls, day.uncounted) == (1, 1)
    compared = Compared("ehr", "order-safety", {date(2026, 11, 20): day}, {date(2026, 11, 19): whole})
    told = [incident.text for incident in incidents(list(compared.figures()))]
    assert any("1 of 1 calls could not be counted" in text for text in told), told


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
    assert state.why.startswith("monitor, units at north: ")
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
        connection.execute("UPDATE events SET detail = replace(detail, 'units', 'rules') WHERE kind LIKE 'auto%'")
    found = Releases(None)
    found.read(tried)
    assert found.current.states["model", "model"].state == "canary"
    assert "it was changed after it was written" in found.refused[0]


def _figure(family: str, subject: str, state: str = "act", service: str = "planning-conversation") -> Figure:
    return Figure("north", service, family, subject, state, 500, 100, 1.0, 0.0, "A sentence.")  # type: ignore[arg-type]


_SCORES = _figure("score drift", "mortality_5y@2.1.0 all", "good")


@for_rows(
    ("key", "state", "figure", "is_taken"),
    [
        (("model", "mortality_5y"), "canary", _figure("errors", ""), True),
        (("model", "mortality_5y@3.0.0"), "canary", _figure("missing", "albumin"), True),
        (("model", "mortality_5y@3.0.0"), "active", _figure("score drift", "mortality_5y@3.0.0 all"), True),
        (("model", "mortality_5y"), "active", _figure("errors", ""), False),
        (("model", "mortality_5y"), "shadow", _figure("errors", ""), False),
        (("model", "mortality_5y"), "canary", _figure("feed", ""), False),
        (("model", "mortality_5y"), "canary", _figure("errors", "", "watch"), False),
        (("model", "mortality_5y"), "canary", _figure("errors", "", service="order-safety"), False),
        (("rule", "renal-metformin"), "canary", _figure("rules", "renal-metformin", service="order-safety"), True),
        (("rule", "renal-metformin"), "canary", _figure("rules", "renal-lithium", service="order-safety"), False),
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
    rollbacks = to_take_back(found.current, [_figure("score drift", "model@1 all")])
    _act(url, "off")
    take_back(url, rollbacks)
    assert _state(url).state == "off"
