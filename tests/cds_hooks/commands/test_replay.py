"""`cds-hooks decisions replay`: the share that is read, what is drawn of verdicts and candidates, the exit codes."""

import json
from collections import Counter
from io import StringIO
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from cds_hooks.commands import replay
from cds_hooks.commands.decisions import app
from cds_hooks.replay.candidates import Report
from cds_hooks.storage.queries import DecisionFilter
from tests.cds_hooks.storage.samples import a_decision, store


@pytest.mark.parametrize(
    ("text", "share"), [(None, 1.0), ("100%", 1.0), ("1%", 0.01), ("2.5", 0.025), ("0.001%", 0.00001)]
)
def test_a_share_is_a_percentage(text: str | None, share: float) -> None:
    assert replay._share(text) == pytest.approx(share)


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


class Words:
    """A verdict that differs, or one of its differences."""

    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members)


def test_what_differs_is_named_before_everything_is_counted() -> None:
    verdict = Words(
        decision="d1", service="s", differences=[Words(words="card 1: another summary")], causes=["another rule"]
    )
    counts = Counter({("t", "not-replayed", ""): 2, ("s", "same", "values"): 5, ("s", "differs", "facts"): 1})
    assert _drawn(replay._draw, counts, [verdict], Counter({"no inputs": 1, "no model": 2})) == [
        "d1 s differs",
        "  card 1: another summary",
        "  cause: another rule",
        "1 s: differs, whole call from the facts kept",
        "5 s: same, scores from the recorded values",
        "2 t: not replayed",
        "2 not replayed: no model.",
        "1 not replayed: no inputs.",
    ]
    assert _drawn(replay._draw, Counter(), [], Counter()) == ["No decision in the record is like that."]


def test_the_exit_code_says_whether_anything_differs_or_nothing_was_replayed() -> None:
    def code(*outcomes: str) -> int:
        return replay._exit_code(Counter({("s", outcome, ""): 1 for outcome in outcomes}))

    assert (code("same"), code(), code("same", "not-replayed")) == (0, 0, 0)
    assert (code("differs"), code("same", "differs", "not-replayed"), code("not-replayed")) == (1, 1, 3)


def test_counts_and_reasons_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counter({("t", "same", "b"): 2, ("s", "differs", "a"): 1})
    replay._print_json(counts, [{"decision": "d1"}], Counter({"no model": 2}))
    assert json.loads(capsys.readouterr().out) == {
        "decisions": [
            {"service": "s", "outcome": "differs", "by": "a", "count": 1},
            {"service": "t", "outcome": "same", "by": "b", "count": 2},
        ],
        "not_replayed": {"no model": 2},
        "differing": [{"decision": "d1"}],
    }


def test_what_a_candidate_changes_is_drawn_by_service_card_and_group() -> None:
    report = Report()
    report.decisions, report.not_replayed = 7, 2
    report.by_service = {"t": Counter(decisions=5, more=1), "s": Counter(decisions=2, fewer=3, other=4)}
    report.examples = {"s: fewer": ["d1", "d2"]}
    assert [" ".join(line.split()) for line in _drawn(replay._draw_report, report)] == [
        "service decisions cards more cards fewer other words or scores",
        "s 2 3 4",
        "t 5 1",
        "s: fewer: d1 d2",
        "7 decisions computed twice, 2 not replayed. Open one with cds-hooks decisions show ID.",
    ]


def test_a_share_of_the_decisions_is_always_the_same(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/record.sqlite3"
    made = store(url, *(a_decision() for _ in range(40)))
    everything = [decision.id for decision in replay._sampled(url, DecisionFilter(), 1.0)]
    assert sorted(everything) == sorted(decision.id for decision in made)
    half = [decision.id for decision in replay._sampled(url, DecisionFilter(), 0.5)]
    assert half == [decision.id for decision in replay._sampled(url, DecisionFilter(), 0.5)]
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
        "There is no decision nothing in the record; cds-hooks decisions list shows those there are.\n",
    )
    done = CliRunner().invoke(app, ["replay", "--sample", "1%", "--database", f"sqlite:///{tmp_path}/none.sqlite3"])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("There is no record at ")
