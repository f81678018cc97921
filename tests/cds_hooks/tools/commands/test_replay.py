"""`cds-hooks replay`: what it refuses, and that another day is named as the cause of a difference."""

from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.cli import app
from cds_hooks.evidence.storage.decision import Decision
from tests.cds_hooks.evidence.replay.answered import answered, record_at, sample_calls
from tests.cds_hooks.evidence.storage.samples import a_decision, store


def test_a_replay_of_nothing_in_particular_or_of_no_record_is_refused(tmp_path: Any) -> None:
    done = CliRunner().invoke(app, ["replay"])
    assert (done.exit_code, done.stderr) == (
        2,
        "Name a decision, or say which ones: --sample 1%, --since 2026-11-20.\n",
    )
    url = f"sqlite:///{tmp_path}/record.sqlite3"
    store(url, a_decision())
    done = CliRunner().invoke(app, ["replay", "nothing", "--database", url])
    assert (done.exit_code, done.stderr) == (
        2,
        "The record has no decision nothing; find its id on the page /decisions.\n",
    )
    done = CliRunner().invoke(app, ["replay", "--sample", "1%", "--database", f"sqlite:///{tmp_path}/none.sqlite3"])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("There is no record at ")


# `cds-hooks replay --as-of`: a recorded call as of another time, which is UTC; what is printed, whole.
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
NO_CONFIGURATION = "the decision names no configuration that is on record, so nothing more can be compared"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Decision]:
    """A record with one forecast of vaccines, whose only words about the day are `as_of`."""
    url = record_at(tmp_path_factory.mktemp("record"))
    (decision,) = answered(url, [next(sample_calls("vaccines-due", NOW))], NOW)
    return url, decision


def _replayed(recorded: tuple[str, Decision], *options: str) -> Result:
    url, decision = recorded
    return CliRunner().invoke(app, ["replay", decision.id, "--database", url, *options], env={"COLUMNS": "80"})


def test_on_the_next_day_the_day_differs_and_is_named_as_the_cause(recorded: tuple[str, Decision]) -> None:
    done = _replayed(recorded, "--as-of", "2026-11-21")
    assert done.exit_code == 1
    assert done.output == (
        f"{recorded[1].id} vaccines-due differs\n"
        "  scores.vaccines.as_of: recorded 2026-11-20, replayed 2026-11-21\n"
        "  cause: day: recorded as of 2026-11-20, replayed as of 2026-11-21\n"
        f"  cause: {NO_CONFIGURATION}\n"
        "1 vaccines-due: differs\n"
    )
