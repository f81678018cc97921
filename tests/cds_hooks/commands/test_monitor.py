"""`cds-hooks monitor`: what it prints of figures and incidents, its window of days, and the options it refuses."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from cds_hooks import cli
from cds_hooks.commands import monitor
from cds_hooks.hold_back.acts import Rollback
from cds_hooks.monitor import judging
from cds_hooks.storage import Decision
from cds_hooks.storage.decision import RecordUnavailable
from models_onnx.monitoring.figure import Figure, Incident
from tests.cds_hooks.storage.samples import a_decision, store
from tests.each import for_rows


def figure(state: Any, **changes: Any) -> Figure:
    members = {
        "client": "a hospital", "service": "planning", "family": "errors", "subject": "planning", "state": state,
        "n": 1200, "minimum": 100, "value": 0.1, "before": 0.0, "text": f"the text of {state}",
    }  # fmt: skip
    return Figure(**(members | changes))


ALL = [figure("act"), figure("act"), figure("watch"), figure("good"), figure("insufficient", n=3)]


def printed(figures: list[Figure], incidents: list[Incident], every: bool, capsys: Any, monkeypatch: Any) -> list[str]:
    monkeypatch.setattr(monitor, "Console", lambda: Console(width=90))
    monitor._print(figures, incidents, every)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip(" ┏┓┃━┳┡╇┩│└┘┴─")]


def test_with_all_every_figure_is_listed_and_without_any_no_table_is_drawn(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    states = [line.split("│")[1].strip() for line in printed(ALL, [], True, capsys, monkeypatch)[1:-1]]
    assert states == ["act", "act", "watch", "good", "insufficient"]
    alone = printed(ALL[3:4], [], False, capsys, monkeypatch)
    assert alone == ["1 figures: 0 to act on, 0 to watch, 1 good, 0 insufficient (too few were counted to know)."]
    assert " ".join(printed([], [], False, capsys, monkeypatch)) == (
        "0 figures: no calls were recorded in these days and the days before, and no outcomes were reported of "
        "estimates whose horizon and label lag have passed (cds-hooks outcomes; --label-days looks further "
        "back, --until at other days)."
    )


def test_the_window_ends_on_the_day_or_at_the_instant_that_was_typed() -> None:
    assert monitor._window_end("2026-02-03") == (date(2026, 2, 3), None)
    at = datetime(2026, 2, 3, 14, tzinfo=UTC)
    assert monitor._window_end("2026-02-03T14:00") == monitor._window_end("2026-02-03T16:00+02:00") == (at.date(), at)
    assert monitor._window_end("2026-02-03T00:30+02:00") == (date(2026, 2, 2), datetime(2026, 2, 2, 22, 30, tzinfo=UTC))
    assert monitor._window_end("2000-01-01")[0].year == 2000
    assert monitor._window_end("8999-12-31")[0].year == 8999


@for_rows(
    ("until", "why"),
    [
        ("1999-12-31", "no record has this day"),
        ("9000-01-01", "no record has this day"),
        ("9999-12-31T23:00-05:00", "no record has this day"),
        ("0001-01-01T00:00+05:00", "no record has this day"),
        ("yesterday", "Invalid isoformat string"),
        ("2026-2-3", "Invalid isoformat string"),
    ],
)
def test_a_day_of_no_record_and_words_are_no_end_of_a_window(until: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        monitor._window_end(until)


@pytest.mark.parametrize(
    ("address", "narrowed", "words"),
    [
        (None, True, None),
        ("https://pager.example/x", False, None),
        ("http://127.0.0.1:9/x", False, None),
        ("ftp://pager.example", False, "--notify: "),
        ("http://pager.example", False, "--notify: "),
        (
            "https://pager.example/x",
            True,
            "--notify: leave out --client and --service: the incidents of the others would be told as ended.\n",
        ),
    ],
)
def test_an_address_that_is_not_called_and_a_part_of_the_figures_are_refused(
    address: str | None, narrowed: bool, words: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if words is None:
        monitor._check_options(address, narrowed=narrowed)
        return
    with pytest.raises(typer.Exit) as ended:
        monitor._check_options(address, narrowed=narrowed)
    text = capsys.readouterr().err
    assert ended.value.exit_code == 2
    assert text.startswith(words)
    assert text.endswith(".\n")


# `cds-hooks monitor` over a record: what it prints, its JSON, the days it takes and what it refuses.
NOTHING = (
    "0 figures: no calls were recorded in these days and the days before, and no outcomes were reported of estimates "
    "whose horizon and label lag have passed (cds-hooks outcomes; --label-days looks further back, --until at "
    "other days)."
)


def _at(day: str, **changes: str) -> Decision:
    moment = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC)
    return a_decision(decided_at=int(moment.timestamp() * 1e6), **changes)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A record with calls of two clients, before and within the week that ends on 20 November 2026."""
    address = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    days = ("2026-11-02", "2026-11-16", "2026-11-20")
    store(address, *(_at(day, client=client) for day in days for client in ("a", "b")))
    return address


def _output(url: str, *options: str) -> tuple[int, str, str]:
    words = ["monitor", "--database", url, *options]
    done = CliRunner().invoke(cli.app, words, env={"COLUMNS": "100"})
    return done.exit_code, " ".join(done.stdout.split()), done.stderr.strip()


def test_days_without_calls_say_what_it_takes(url: str) -> None:
    assert _output(url, "--until", "2020-11-20") == (0, NOTHING, "")
    assert _output(url, "--until", "2026-12-25", "--days", "3", "--before", "20") == (0, NOTHING, "")
    assert _output(url, "--until", "2026-12-25", "--days", "3", "--before", "34")[1] != NOTHING, "from 19 November on"


LAST, AT = date(2026, 11, 20), datetime(2026, 11, 20, 14, tzinfo=UTC)


@dataclass
class Comparison:
    """The figures of one client and service."""

    client: str
    service: str
    of: tuple[Figure, ...] = ()
    at: datetime | None = None

    def figures(self) -> tuple[Figure, ...]:
        return tuple(figure(state, client=self.client, service=self.service) for state in self.of)


class Site:
    """What the counts hold, and what was asked of them and told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Any] = []
        self.compared: Any = [Comparison("a", "s", ("act", "good")), Comparison("b", "t", ("watch",))]  # type: ignore[arg-type]
        self.mature: list[Any] = []
        self.silent: list[Figure] = []
        self.rolled_back: list[Rollback] = []
        names = ("label_windows", "rules_without_findings", "_take_back", "_tell_others")
        for name in names:
            room = judging if name in ("label_windows", "rules_without_findings") else monitor
            monkeypatch.setattr(room, name, self._noted(name))

        def follower(_: Any, url: str) -> Any:
            self.asked.append(("followed", url))
            return SimpleNamespace(views="views", catch_up=lambda done: done(3))

        monkeypatch.setattr(monitor, "open_follower", follower)
        monkeypatch.setattr(monitor, "CountBook", lambda _: SimpleNamespace(compared=self._noted("compared")))
        monkeypatch.setattr(monitor, "LabelReader", lambda *_: SimpleNamespace(read=lambda: None))
        monkeypatch.setattr(judging, "all_rule_versions", lambda: {"r"})

    def _noted(self, name: str) -> Any:
        answers: dict[str, Callable[[], Any]] = {
            "label_windows": lambda: self.mature, "rules_without_findings": lambda: self.silent,
            "_take_back": lambda: self.rolled_back,
            "compared": lambda: self.compared,
        }  # fmt: skip

        def call(*given: Any) -> Any:
            self.asked.append((name, *given))
            return answers[name]() if name in answers else None

        return call

    def of(self, name: str) -> Any:
        """With what this was asked, each time."""
        return [given for asked, *given in self.asked if asked == name]

    @staticmethod
    def run(*words: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(cli.app, ["monitor", *words], env={"COLUMNS": "120"})
        return done.exit_code, done.stdout, done.stderr.strip()

    def json(self, *words: str) -> Any:
        return json.loads(self.run("--json", *words)[1])


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(monkeypatch)


def test_the_counts_are_asked_for_the_days_that_were_typed(site: Site) -> None:
    words = ("--until", "2026-11-20T14:00", "--database", "url")
    assert site.run(*words)[0] == 1
    assert site.of("followed") == [["url"]]
    assert site.of("label_windows")[0][2:] == [LAST, 90]
    assert site.of("compared") == [[LAST, 7, 28]]
    compared, known = site.of("rules_without_findings")[0]
    assert [(comparison.client, comparison.at) for comparison in compared] == [("a", AT), ("b", AT)]
    assert (known, site.of("_take_back")) == ({"r"}, [])
    site.asked.clear()
    more = ("--until", "2026-11-20", "--days", "3", "--before", "5", "--label-days", "11")
    document = site.json(*more)
    assert [(given["client"], given["state"]) for given in document["figures"]][-1] == ("a", "good")
    assert site.of("compared") == [[LAST, 3, 5]]
    assert site.of("label_windows")[0][2:] == [LAST, 11]


def test_an_incident_ends_with_1_and_is_printed_before_the_figures(site: Site) -> None:
    code, shown, errors = site.run("--until", "2026-11-20")
    lines = shown.splitlines()
    assert (code, errors) == (1, "")
    assert lines[0] == "Incident, errors. a: the text of act"
    assert lines[-1] == "3 figures: 1 to act on, 1 to watch, 1 good, 0 insufficient (too few were counted to know)."
    assert ("good  " in shown, "good  " in site.run("--until", "2026-11-20", "--all")[1]) == (False, True)
    site.compared = site.compared[1:]
    assert site.run("--until", "2026-11-20")[0] == 0


def test_a_report_is_told_to_others(site: Site) -> None:
    address = "https://pager.example/x"
    words = ("--until", "2026-11-20", "--notify", address)
    assert site.run(*words)[0] == 1
    ((book, open_incidents, told),) = site.of("_tell_others")
    assert (hasattr(book, "compared"), [each.client for each in open_incidents], told) == (True, ["a"], address)
    site.asked.clear()
    site.run("--until", "2026-11-20")
    assert site.of("_tell_others") == []


def test_what_is_taken_back_is_named(site: Site) -> None:
    site.rolled_back = [Rollback("model", "m", "2026-11-20T00:00:00+00:00", "monitor, errors at a: too many")]
    code, shown, _ = site.run("--until", "2026-11-20", "--rollback", "--database", "url")
    assert (code, shown.splitlines()[0]) == (1, "Rolled back, model m: monitor, errors at a: too many")
    ((url, figures),) = site.of("_take_back")
    assert (url, len(figures)) == ("url", 3)
    assert site.json("--rollback")["rolled_back"] == [
        {"kind": "model", "name": "m", "at": "2026-11-20T00:00:00+00:00", "why": "monitor, errors at a: too many"}
    ]


# The parts


def _raising(error: Exception) -> Any:
    def fail(*_: Any) -> None:
        raise error

    return fail


def test_what_cannot_be_read_takes_nothing_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = RecordUnavailable("the record is torn")
    taken: list[Any] = []
    due = [Rollback("rule", "r", "", "why")]
    monkeypatch.setattr("cds_hooks.monitor.judging.take_back", lambda *given: taken.append(given))
    monkeypatch.setattr("cds_hooks.monitor.judging.to_take_back", lambda *given: due if given == ("now", []) else [])
    monkeypatch.setattr("cds_hooks.commands.release.acts_until", lambda _: SimpleNamespace(current="now"))
    assert (monitor._take_back("url", []), taken) == (due, [("url", due)])
    monkeypatch.setattr("cds_hooks.commands.release.acts_until", _raising(error))
    with pytest.raises(typer.Exit) as ended:
        monitor._take_back("url", [])
    assert (ended.value.exit_code, len(taken)) == (2, 1)
    assert capsys.readouterr() == ("", "Nothing was rolled back: the record is torn\n")
