"""`cds-hooks replay`: the share that is read, what is drawn of verdicts and candidates, the exit codes."""

import json
from collections import Counter
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from cds_hooks.cli import app
from cds_hooks.commands import replay
from cds_hooks.replay.candidates import Change, ChangeReport, NoCandidate, NotReplayed
from cds_hooks.replay.replaying import Verdict
from cds_hooks.storage import Decision
from cds_hooks.storage.queries import DecisionFilter, find_sample
from tests.cds_hooks.replay.answered import answered, record_at, sample_calls
from tests.cds_hooks.storage.samples import a_decision, store


@pytest.mark.parametrize("text", ["0%", "-1%", "100.1%", "1%%", "half", "nan"])
def test_what_is_no_percentage_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        replay._share(text)
    assert ended.value.exit_code == 2
    words = f"--sample is a percentage over 0 and up to 100, as 1%; {text} is none.\n"
    assert capsys.readouterr().err == words


def _drawn(draw: Any, *values: Any) -> list[str]:
    stream = StringIO()
    draw(Console(file=stream, width=100), *values)
    return [line.rstrip() for line in stream.getvalue().splitlines() if line.strip(" ─")]


def test_what_a_candidate_changes_is_drawn_by_service_card_and_group() -> None:
    report = ChangeReport()
    report.decisions, report.not_replayed = 7, 2
    report.by_service = {"t": Counter(decisions=5, more=1), "s": Counter(decisions=2, fewer=3, other=4)}
    report.examples = {"s: fewer": ["d1", "d2"]}
    assert [" ".join(line.split()) for line in _drawn(replay._draw_report, report)] == [
        "service decisions cards more cards fewer other words or scores", "s 2 3 4", "t 5 1", "s: fewer: d1 d2",
        "7 decisions computed twice, 2 not replayed. The page /explain/ID shows one.",
    ]  # fmt: skip


def test_a_share_of_the_decisions_is_always_the_same(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/record.sqlite3"
    made = store(url, *(a_decision() for _ in range(40)))
    everything = [decision.id for decision in find_sample(url, DecisionFilter(), 1.0)]
    assert sorted(everything) == sorted(decision.id for decision in made)
    half = [decision.id for decision in find_sample(url, DecisionFilter(), 0.5)]
    assert half == [decision.id for decision in find_sample(url, DecisionFilter(), 0.5)]
    from zlib import crc32

    assert half == [name for name in everything if crc32(name.encode()) < 2**31]
    assert [decision.id for decision in replay._decision_named(url, made[3].id)] == [made[3].id]


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
        "There is no decision nothing in the record; the page /decisions finds those there are.\n",
    )
    done = CliRunner().invoke(app, ["replay", "--sample", "1%", "--database", f"sqlite:///{tmp_path}/none.sqlite3"])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("There is no record at ")


def _verdicts(*rows: tuple[str, str]) -> list[Verdict]:
    return [
        Verdict(decision=f"d{number}", service="s", outcome=outcome, because=because)  # type: ignore[arg-type]
        for number, (outcome, because) in enumerate(rows)
    ]


def test_the_first_twenty_that_differ_are_listed_and_all_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*[("differs", "")] * 21, ("same", ""), ("not-replayed", "no inputs"), ("not-replayed", "no inputs")]
    asked: list[Any] = []

    def replayer(_site: Any, url: str, as_of: Any) -> Any:
        asked.append((url, as_of))
        return SimpleNamespace(verdicts=lambda _: _verdicts(*rows))

    monkeypatch.setattr("cds_hooks.replay.open_site", lambda _: None)
    monkeypatch.setattr("cds_hooks.replay.Replayer", replayer)
    assert replay._replay("sqlite:///x", iter(()), 24, None, as_json=True) == 1
    document = json.loads(capsys.readouterr().out)
    assert [row["decision"] for row in document["differing"]] == [f"d{number}" for number in range(20)]
    assert document["not_replayed"] == {"no inputs": 2}
    assert {row["outcome"]: row["count"] for row in document["decisions"]} == {
        "differs": 21, "same": 1, "not-replayed": 2,
    }  # fmt: skip
    assert asked[0] == ("sqlite:///x", None)
    rows[:21] = []
    assert replay._replay("sqlite:///x", iter(()), 3, None, as_json=False) == 0
    assert capsys.readouterr().out.splitlines() == ["2 s: not replayed", "1 s: same", "2 not replayed: no inputs."]


def test_what_a_candidate_changes_decides_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = Change("d1", "s", "adults", ("r",), (), False)
    same = Change("d2", "s", "adults", (), (), False)
    changes: list[Any] = []

    def changed(_now: Any, against: list[str], url: str, chosen: Any) -> list[Any]:
        assert (url, against, list(chosen)) == ("sqlite:///x", ["CDS_A=1"], [])
        return changes

    monkeypatch.setattr("cds_hooks.replay.open_site", lambda _: None)
    monkeypatch.setattr("cds_hooks.replay.candidates.candidate_site", lambda _, against: against)
    monkeypatch.setattr("cds_hooks.replay.candidates.changes", changed)

    def tried(*found: Any, as_json: bool = True) -> int:
        changes[:] = found
        return replay._try_candidate("sqlite:///x", iter(()), 9, ["CDS_A=1"], as_json=as_json)

    assert (tried(), tried(same), tried(same, more), tried(NotReplayed("no inputs"))) == (0, 0, 1, 3)
    assert tried(same, NotReplayed("no inputs"), as_json=False) == 0
    last = "1 decisions computed twice, 1 not replayed. The page /explain/ID shows one."
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_what_ends_a_replay_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: Any) -> None:
        raise NoCandidate("it is the one in use")

    monkeypatch.setattr("cds_hooks.replay.open_site", lambda _: None)
    monkeypatch.setattr("cds_hooks.replay.candidates.candidate_site", fail)
    assert replay._try_candidate("sqlite:///x", iter(()), 2, [], as_json=False) == 2
    assert capsys.readouterr().err.strip() == "It is the one in use."


def test_as_many_decisions_are_expected_as_the_share_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/record.sqlite3"
    made = store(url, *(a_decision() for _ in range(10)))
    asked: list[Any] = []

    def replayed(url: str, chosen: Any, total: int, as_of: Any, *, as_json: bool) -> int:
        asked.append((len(list(chosen)), total, as_of, as_json))
        return 0

    def tried(url: str, chosen: Any, total: int, against: list[str], *, as_json: bool) -> int:
        asked.append((len(list(chosen)), total, against, as_json))
        return 1

    monkeypatch.setattr(replay, "_replay", replayed)
    monkeypatch.setattr(replay, "_try_candidate", tried)

    def run(*words: str) -> int:
        return CliRunner().invoke(app, ["replay", "--database", url, *words]).exit_code

    assert run("--sample", "100%", "--client", "a hospital") == 0
    assert run("--sample", "100%", "--client", "nobody") == 0
    assert run(made[0].id, "--as-of", "2026-11-20", "--json") == 0
    assert run("--sample", "100%", "--service", "planning", "--against", "a", "--against", "b") == 1
    run("--sample", "30%")
    assert asked[:4] == [
        (10, 10, None, False),
        (0, 0, None, False),
        (1, 1, datetime(2026, 11, 20, tzinfo=UTC), True),
        (10, 10, ["a", "b"], False),
    ]
    assert asked[4][1:] == (3, None, False)


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


def test_the_difference_is_json_too(recorded: tuple[str, Decision]) -> None:
    done = _replayed(recorded, "--as-of", "2027-01-01", "--json")
    difference: dict[str, Any] = {"where": "scores.vaccines.as_of", "recorded": "2026-11-20", "replayed": "2027-01-01"}
    assert done.exit_code == 1
    assert json.loads(done.output) == {
        "decisions": [{"service": "vaccines-due", "outcome": "differs", "count": 1}], "not_replayed": {},
        "differing": [{"decision": recorded[1].id, "service": "vaccines-due", "outcome": "differs",
                       "differences": [difference],
                       "causes": ["day: recorded as of 2026-11-20, replayed as of 2027-01-01", NO_CONFIGURATION],
                       "because": ""}],
    }  # fmt: skip


def test_two_ways_to_say_which_decisions_are_enough_each(recorded: tuple[str, Decision], tmp_path: Path) -> None:
    url, decision = recorded
    asked_for = (["--sample", "100%"], ["--since", "2026-11-20"], ["--until", "2999-01-01"], [decision.id])
    for words in asked_for:
        done = CliRunner().invoke(app, ["replay", *words, "--database", url, "--as-of", "2026-11-20"])
        assert (done.exit_code, done.stdout) == (0, "1 vaccines-due: same\n"), words
    for words in (["--until", "2026-11-20"], ["--since", "2999-01-01"]):
        done = CliRunner().invoke(app, ["replay", *words, "--database", url])
        assert (done.exit_code, done.stdout) == (0, "No decision in the record is like that.\n"), words
