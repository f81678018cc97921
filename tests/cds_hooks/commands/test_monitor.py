"""`cds-hooks monitor`: what it prints of figures and incidents, its window of days, and the options it refuses."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from cds_hooks import cli
from cds_hooks.commands import monitor
from cds_hooks.hold_back.acts import PAUSE_EVENT
from cds_hooks.monitor.book import CountBook
from cds_hooks.storage import Decision
from models_onnx.monitoring.figure import Figure, Incident
from tests.cds_hooks.decision_views.followed import Book
from tests.cds_hooks.storage.samples import a_decision, store


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


@pytest.mark.parametrize(
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


def test_a_file_that_cannot_be_written_is_said_with_the_number_of_incidents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book: CountBook = Book(tmp_path / "counts.sqlite3")
    textfile = tmp_path / "none" / "figures.prom"
    incident = Incident("a hospital", "errors", (ALL[0],))
    with pytest.raises(typer.Exit) as ended:
        monitor._tell_others(book, ALL, [incident], None, textfile)
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == f"Incidents: 1. {textfile} cannot be written: No such file or directory.\n"
    monitor._tell_others(book, ALL, [], None, tmp_path / "figures.prom")
    assert (tmp_path / "figures.prom").is_file()


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


def test_the_kind_of_a_pause_is_that_of_the_server() -> None:
    assert monitor.PAUSED == PAUSE_EVENT
