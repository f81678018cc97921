"""`cds-hooks replay`: computes decisions of the record again and says what differs and why."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cds_hooks.evidence.storage.decision import Decision, RecordUnavailable, decision_of
from cds_hooks.evidence.storage.queries import (
    DecisionFilter,
    count_decisions,
    find_sample,
    get_decision,
)
from cds_hooks.settings import settings
from cds_hooks.tools.commands.options import (
    AsJson,
    Before,
    Client,
    Database,
    Service,
    Since,
    as_sentence,
    failure,
    print_json,
    progress_bars,
)
from cds_hooks.tools.commands.record_options import record_url
from cds_hooks.tools.kit.tables import print_table

_SAME, _DIFFERS, _UNUSABLE, _NOTHING = 0, 1, 2, 3
_LISTED = 20

Sample = Annotated[str | None, typer.Option(metavar="PERCENT", help="Of so many per cent of the decisions, as 1%.")]


def replay(
    decision: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One decision, or the uuid of one of its cards.")
    ] = None,
    sample: Sample = None,
    since: Since = None,
    until: Before = None,
    service: Service = None,
    client: Client = None,
    as_of: Annotated[
        datetime | None, typer.Option(help="Replay as of this time (UTC) instead of that of each call.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CANDIDATE",
            help="What it changes: model's folder, RULE=off, rules file, index, CDS_NAME=value.",
        ),
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Compute decisions again; say what differs and why. Exit code 1: something differs, 3: none could be replayed.

    Example: cds-hooks replay --sample 1% --since 2026-11-20
    """
    if decision is None and sample is None and since is None and until is None:
        raise failure("Name a decision, or say which ones: --sample 1%, --since 2026-11-20.", _UNUSABLE)
    share = _share(sample)
    wanted = DecisionFilter(service, client=client, since=since, until=until)
    wanted = msgspec.structs.replace(wanted, has_trials=not against)
    try:
        url = record_url(database)
        chosen = _decision_named(url, decision) if decision is not None else find_sample(url, wanted, share)
        total = round(count_decisions(url, wanted) * share) if decision is None else 1
        if against:
            with_trials = msgspec.structs.replace(wanted, has_trials=True)
            trials = count_decisions(url, with_trials) - count_decisions(url, wanted) if decision is None else 0
            raise typer.Exit(_try_candidate(url, chosen, total, trials, against, as_json=as_json))
        instant = as_of and as_of.replace(tzinfo=UTC)
        raise typer.Exit(_replay(url, chosen, total, instant, as_json=as_json))
    except RecordUnavailable as error:
        raise typer.Exit(_unusable(error)) from error


def _share(sample: str | None) -> float:
    """Return the share, 0 to 1; typer.Exit with code 2 where it is none."""
    try:
        share = 1.0 if sample is None else float(sample.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise failure(f"--sample must be a percentage over 0 and up to 100, such as 1%; received {sample}.", _UNUSABLE)
    return share


def _decision_named(url: str, text: str) -> Iterator[Decision]:
    decision = get_decision(url, decision_of(text) or text)
    if decision is None:
        raise failure(f"The record has no decision {text}; find its id on the page /decisions.", _UNUSABLE)
    yield decision


def _replay(url: str, chosen: Iterator[Decision], total: int, as_of: datetime | None, *, as_json: bool) -> int:
    from cds_hooks.evidence.replay.replaying import Replayer
    from cds_hooks.evidence.replay.site import open_site
    from cds_hooks.people.governance.terminology import use_by_acts

    counts: Counter[tuple[str, str]] = Counter()
    listed: list[Any] = []
    reasons: Counter[str] = Counter()
    configured = settings().model_copy(update={"database_url": url})
    use_by_acts(configured)
    with progress_bars(as_json or total == 1) as step:
        for number, verdict in enumerate(Replayer(open_site(configured), url, as_of).verdicts(chosen), 1):
            step("Decisions", number, total)
            counts[verdict.service, verdict.outcome] += 1
            if verdict.because:
                reasons[verdict.because] += 1
            if verdict.outcome == "differs" and len(listed) < _LISTED:
                listed.append(verdict)
    if as_json:
        _print_json(counts, listed, reasons)
    else:
        _draw(Console(), counts, listed, reasons)
    outcomes = {outcome for _, outcome in counts}
    if "differs" in outcomes:
        return _DIFFERS
    return _NOTHING if outcomes == {"not-replayed"} else _SAME


def _try_candidate(
    url: str, chosen: Iterator[Decision], total: int, trials: int, against: list[str], *, as_json: bool
) -> int:
    """Print what the candidate changes; 1 where a card is more, fewer or another. `trials` are left out."""
    from cds_hooks.evidence.replay.candidates import ChangeReport, NoCandidate, candidate_site, changes
    from cds_hooks.evidence.replay.site import open_site
    from cds_hooks.people.governance.terminology import use_by_acts

    configured = settings().model_copy(update={"database_url": url})
    use_by_acts(configured)
    report = ChangeReport(trials=trials)
    with progress_bars(as_json or total == 1) as step:
        try:
            now, candidate = open_site(configured), candidate_site(configured, against)
            for number, change in enumerate(changes(now, candidate, url, chosen), 1):
                report.take(change)
                step("Decisions", number, total)
        except NoCandidate as error:
            return _unusable(error)
    if as_json:
        print_json(report)
    else:
        _draw_report(Console(), report)
    if not report.decisions:
        return _NOTHING if report.not_replayed else _SAME
    return _DIFFERS if report.examples else _SAME


def _unusable(error: Exception) -> int:
    typer.echo(as_sentence(error), err=True)
    return _UNUSABLE


def _draw_report(console: Console, report: Any) -> None:
    for title, counted in (
        ("service", report.by_service),
        ("rule or model", report.by_card),
        ("group", report.by_group),
    ):
        table = Table(title, "decisions", "cards more", "cards fewer", "other words or scores", box=box.SIMPLE_HEAD)
        for name, counts in sorted(counted.items()):
            table.add_row(
                Text(name),
                *(str(counts[outcome_name] or "") for outcome_name in ("decisions", "more", "fewer", "other")),
            )
        if table.row_count:
            print_table(table, console)
    table = Table("card", "now", "after the change", box=box.SIMPLE_HEAD)
    for name, counts in sorted(report.cards.items()):
        table.add_row(Text(name), str(counts["now"]), str(counts["after"]))
    if table.row_count:
        print_table(table, console)
    for what, ids in report.examples.items():
        console.print(Text(f"{what}: {' '.join(ids)}"), soft_wrap=True)
    last = f"{report.decisions} decisions computed twice, {report.not_replayed} not replayed."
    trials = f" Trials left out: {report.trials}; name one by its id to compute it." if report.trials else ""
    console.print(f"{last}{trials} The page /explain/ID shows one.", soft_wrap=True)


def _print_json(counts: Counter[tuple[str, str]], listed: list[Any], reasons: Counter[str]) -> None:
    rows = [
        {"service": service, "outcome": outcome, "count": count} for (service, outcome), count in sorted(counts.items())
    ]
    differing = [msgspec.to_builtins(verdict) for verdict in listed]
    document = {"decisions": rows, "not_replayed": dict(reasons), "differing": differing}
    print_json(document)


def _draw(console: Console, counts: Counter[tuple[str, str]], listed: list[Any], reasons: Counter[str]) -> None:
    for verdict in listed:
        console.print(Text(f"{verdict.decision} {verdict.service} differs"), soft_wrap=True)
        for difference in verdict.differences:
            console.print(Text(f"  {difference.words}"), soft_wrap=True)
        for cause in verdict.causes:
            console.print(Text(f"  cause: {cause}", style="bold"), soft_wrap=True)
    for (service, outcome), count in sorted(counts.items()):
        console.print(Text(f"{count} {service}: {outcome.replace('-', ' ')}"), soft_wrap=True)
    for reason, count in reasons.most_common():
        console.print(Text(f"{count} not replayed: {reason}.", style="dim"), soft_wrap=True)
    if not counts:
        console.print("No decision in the record matches these options.")
