"""`cds-hooks monitor`: whether a model, a rule or a feed went bad, by SQL over the record."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from cds_hooks.call.services import services_for
from cds_hooks.call.services._model import site_thresholds
from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.evidence.monitor.judging import NotTold, Report, keep_report, note_incidents, summary, tell
from cds_hooks.evidence.monitor.window import Window
from cds_hooks.evidence.outcomes.labels import site_labels
from cds_hooks.evidence.record_views import open_follower
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.settings import settings
from cds_hooks.settings.checks import address_fault, plain_http_fault
from cds_hooks.tools.commands.options import AsJson, Client, Database, Service, failure, progress_bars
from cds_hooks.tools.commands.record_options import record_url
from cds_hooks.tools.kit.tables import print_table
from models_onnx.monitoring.figure import Figure, Incident, incidents

if TYPE_CHECKING:
    from cds_hooks.people.governance.acts import Rollback

_STYLES = {"act": "bold red", "watch": "yellow", "insufficient": "dim", "good": "green"}


def monitor(
    until: Annotated[
        str | None,
        typer.Option(metavar="DATE[THH:MM]", help="Last day of the window; default: today, up to now (UTC)."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days the window has.")] = 7,
    before: Annotated[int, typer.Option(min=1, max=3650, help="How many days before it are the reference.")] = 28,
    label_days: Annotated[
        int, typer.Option(min=1, max=3650, help="How many days of mature predictions are held against what happened.")
    ] = 90,
    client: Client = None,
    service: Service = None,
    every: Annotated[bool, typer.Option("--all", help="List every figure, those of incidents, too.")] = False,
    as_json: AsJson = False,
    notify: Annotated[
        str | None, typer.Option(metavar="URL", help="Post each incident there once when it begins and when it ends.")
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Take back to shadow what is in canary and has a figure to act on.")
    ] = False,
    usual: Annotated[
        bool, typer.Option("--usual", help="What --client sends is usual from now on: end its incidents.")
    ] = False,
    database: Database = None,
) -> None:
    """Compare the calls of the last days with those of the days before, and say what somebody has to look at.

    What came to the record since the last report is read first. Each figure is good, to be watched, to act on, or
    insufficient, which is said where too few were counted to know. What has one cause is one incident, which stays open
    until the days are again as they were before it, or until somebody says that they are usual.

    Exit codes: 0 nothing to act on, 1 an incident, 2 the record, the counts or an option cannot be used.

    Example: cds-hooks monitor --days 7 --before 28
    """
    _check_options(notify, until, narrowed=client is not None or service is not None)
    try:
        last, at = _window_end(until)
    except ValueError as error:
        raise failure(f"--until {until}: write a date as 2026-11-20, or 2026-11-20T14:00.", 2) from error
    try:
        url = record_url(database)
        follower = open_follower(settings(), url)
        follower.catch_up()
        book = CountBook(follower.views)
        if usual:
            book.note_usual(_named(client), datetime.now(UTC).date())
        window = Window(last, days, before, label_days, at, usual=book.usual())
        window = replace(window, frozen=book.frozen(window.first))
        report = _report(url, book, window)
        if until is None:  # a report on other days changes nothing that is known of today
            note_incidents(book, report.incidents, window)
            keep_report(book, report)
    except RecordUnavailable as error:
        raise failure(str(error), 2) from error
    figures = [f for f in report.figures if client in (None, f.client) and service in (None, f.service)]
    open_incidents = incidents(figures)
    taken_back = _take_back(url, figures) if rollback else []
    if notify is not None:
        _tell_others(book, open_incidents, notify, window)
    if as_json:
        document = {"until": last, "incidents": open_incidents, "rolled_back": taken_back, "figures": figures}
        typer.echo(msgspec.json.encode(document).decode())
    else:
        for act in taken_back:
            typer.echo(f"Rolled back, {act.kind} {act.name}: {act.why}")
        _print(figures, open_incidents, every)
    raise typer.Exit(1 if open_incidents else 0)


def _named(client: str | None) -> str:
    if client is None:
        raise failure("--usual: name the client with --client.", 2)
    return client


def _report(url: str, book: CountBook, window: Window) -> Report:
    """Read what is new and judge it; where the record is encrypted nothing is kept in a file."""
    try:
        from cds_hooks.evidence.monitor.label_windows import thresholds_in_force
        from cds_hooks.evidence.monitor.report import report_of
    except ModuleNotFoundError as error:
        text = f"this needs {error.name}, which is not installed: pip install 'cds-hooks-onnx[monitor]'"
        raise RecordUnavailable(text) from error
    configured = settings()
    file = None if configured.content_keys is not None else book.views.file.with_suffix(".duckdb")
    try:
        thresholds = thresholds_in_force(services_for(configured).values(), site_thresholds(configured))
    except Exception as error:
        if (what := getattr(error, "what_cannot_be_used", None)) is None:
            raise
        raise failure(f"{what} cannot be used: {error}", 2) from error  # 1 says that there is an incident
    with progress_bars() as step:
        progress = lambda done: step("Reading decisions", done, None)  # noqa: E731
        return report_of(url, file, site_labels(configured), window, progress, thresholds)


def _take_back(url: str, figures: list[Figure]) -> "list[Rollback]":
    """Take back what is tried and has a figure to act on, and say what that was."""
    from cds_hooks.evidence.monitor.judging import take_back, to_take_back
    from cds_hooks.tools.commands.release import recorded_acts

    try:
        due = to_take_back(recorded_acts(url).current, figures)
        take_back(url, due)
    except RecordUnavailable as error:
        raise failure(f"Nothing was rolled back: {error}", 2) from error
    return due


def _check_options(notify: str | None, until: str | None, *, narrowed: bool) -> None:
    """Refuse an address that is not called, and a report on a part or other days: others would seem to have ended."""
    text = (address_fault(notify) or plain_http_fault(notify)) if notify is not None else None
    if notify is not None and narrowed:
        text = "leave out --client and --service: the incidents of the others would be told as ended"
    if notify is not None and until is not None:
        text = "leave out --until: the incidents of today would be told as ended"
    if text is not None:
        raise failure(f"--notify: {text}.", 2)


def _tell_others(book: CountBook, open_incidents: list[Incident], notify: str, window: Window) -> None:
    try:
        note_incidents(book, open_incidents, window)
        tell(book, open_incidents, notify, window)
    except (NotTold, RecordUnavailable) as error:
        raise failure(f"Incidents: {len(open_incidents)}. {error}", 2) from error


def _print(figures: list[Figure], open_incidents: list[Incident], every: bool) -> None:
    console = Console()
    for incident in open_incidents:
        console.print(f"[bold red]Incident[/], {incident.family}. {incident.text}", highlight=False)
    explained = {f.key for incident in open_incidents for f in (*incident.causes, *incident.follows)}
    table = Table("state", "client", "figure", "n", "what was found")
    for figure in figures:
        if every or (figure.state in ("act", "watch") and figure.key not in explained):
            kind = f"{figure.family}, {figure.subject}"
            table.add_row(f"[{_STYLES[figure.state]}]{figure.state}", figure.client, kind, f"{figure.n:,}", figure.text)
    if table.row_count:
        print_table(table, console)
    console.print(summary(figures), highlight=False)


def _window_end(until: str | None) -> tuple[date, datetime | None]:
    """Return the last day of the window, and the instant (UTC) up to which it has been counted where it is not over.

    Raises:
        ValueError: `until` is neither a day nor an instant, or lies before any record.
    """
    now = datetime.now(UTC)
    if until is None or until == now.date().isoformat():
        return now.date(), now
    if len(until) == len("2026-11-20"):
        return _of_a_record(date.fromisoformat(until)), None
    at = datetime.fromisoformat(until)
    _of_a_record(at.date())  # in UTC the first and the last of all days can be days that there are not
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.date(), at


def _of_a_record(day: date) -> date:
    if not 2000 <= day.year < 9000:
        raise ValueError("no record has this day")
    return day
