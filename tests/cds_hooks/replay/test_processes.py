"""Several processes replay what one replays: the same verdicts and changes, in the same order."""

from datetime import UTC, datetime
from itertools import cycle
from multiprocessing import active_children

import pytest
from msgspec import structs

from cds_hooks.replay import processes
from cds_hooks.replay.candidates import Change
from cds_hooks.settings import Settings
from cds_hooks.storage import Decision
from cds_hooks.storage.content import read_content_keys, use_content_keys
from cds_hooks.storage.queries import DecisionFilter, find_decisions
from tests.cds_hooks.replay.answered import answered, record_at, sample_calls
from tests.program import run_program

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
pytestmark = pytest.mark.slow
"""Each process loads the models and rules for itself."""


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a record with some decisions of a model, and of rules."""
    use_content_keys(read_content_keys(""))  # other processes do not have the keys that a test before left in this one
    url = record_at(tmp_path_factory.mktemp("record"))
    answered(url, [*sample_calls("planning-conversation", NOW, 8), *sample_calls("medication-review", NOW, 8)], NOW)
    return url


@pytest.fixture
def decisions(record: str, monkeypatch: pytest.MonkeyPatch) -> list[Decision]:
    """Its decisions, one of them with another score; two are handed over at a time."""
    monkeypatch.setattr(processes, "AT_ONCE", 2)
    found = list(find_decisions(record, DecisionFilter()))
    at, scored = next((at, each) for at, each in enumerate(found) if b'"probability":0.' in each.basis)
    found[at] = structs.replace(scored, basis=scored.basis.replace(b'"probability":0.', b'"probability":0.9'))
    return found


def test_two_processes_come_to_the_verdicts_of_one_in_the_same_order(record: str, decisions: list[Decision]) -> None:
    configured = Settings(database_url=record)
    one, two = (list(processes.verdicts(configured, decisions, None, processes=by)) for by in (1, 2))
    assert two == one
    assert [each.decision for each in two] == [each.id for each in decisions]
    assert sorted(each.outcome for each in two) == ["differs"] + ["same"] * (len(decisions) - 1)


def test_two_processes_find_the_changes_of_one(record: str, decisions: list[Decision]) -> None:
    configured, named = Settings(database_url=record), ["CDS_ALERT_SHARE=0.001"]
    one, two = (list(processes.changes_by(configured, named, decisions, by)) for by in (1, 2))
    assert two == one
    assert any(isinstance(each, Change) and each.fewer for each in two)


def test_a_process_that_is_ended_is_said(record: str, decisions: list[Decision]) -> None:
    found = processes.verdicts(Settings(database_url=record), cycle(decisions), None, processes=2)
    next(found)
    active_children()[0].kill()
    with pytest.raises(processes.ProcessEnded, match="ended before its work was done"):
        list(found)


def test_the_command_prints_the_same_with_two_processes(record: str) -> None:
    asked = ("decisions", "replay", "--sample", "100%", "--json")
    one, two = (
        run_program(*asked, *more, environment={"CDS_DATABASE_URL": record}) for more in ((), ("--processes", "2"))
    )
    assert one.returncode == two.returncode == 0, two.stderr
    assert one.stdout == two.stdout
