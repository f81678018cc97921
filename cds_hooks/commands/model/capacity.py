"""`cds-hooks model capacity`: the threshold of a model for as many cards a day as a team can work off."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
import typer
from msgspec import Struct
from rich.table import Table

from cds_hooks.commands.model.console import AsJson, Name, print_json, problems, wide_console
from cds_hooks.commands.model.release import Folder
from cds_hooks.commands.options import Database
from cds_hooks.commands.record_options import record_url
from cds_hooks.storage.decision import Decision, RecordUnavailable
from cds_hooks.storage.queries import DecisionFilter, find_decisions
from models_onnx.artifact.manifest import Manifest
from models_onnx.monitoring.alerting import Alerting, Interval, alerting_of
from models_onnx.serving.registry import ARTIFACTS

_DAY_MICROSECONDS: Final = 86_400_000_000
LEAST_SCORED: Final = 100
"""Of fewer scored patients the record says nothing about a day; the project's own choice."""


class _Scores(Struct):
    id: str = ""
    percentile: float | None = None


class _Basis(Struct):
    scores: _Scores | None = None


_basis: Final = msgspec.json.Decoder(_Basis)


class Volume(Struct, frozen=True):
    """How many patients are scored a day, and how many of them would have a card at each tested share.

    From the record (`days` of it), or given (`days` is None): then a share of the patients is that share of the cohort.
    """

    scored: float
    cards: tuple[float, ...]
    days: int | None


def capacity(
    name: Name,
    cards: Annotated[
        float, typer.Option("--capacity", min=0.01, max=10_000_000, help="Cards a day that can be worked off.")
    ],
    per_day: Annotated[
        float | None,
        typer.Option(min=0.01, max=1_000_000_000, help="Patients a day whom the model scores; else from the record."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="Days of the record that are counted.")] = 28,
    database: Database = None,
    folder: Folder = ARTIFACTS,
    as_json: AsJson = False,
) -> None:
    """Show the tested thresholds of a model with their PPV, and the widest whose cards a team can work off.

    A patient counts once a day. From the record it is counted whom the model has scored; with --per-day the site is
    taken to be as the model's reference cohort. Nothing is changed: the last line says how to set the threshold.

    Exit codes: 0 a threshold fits, 1 none does, 2 the record or an option cannot be used.

    Example: cds-hooks model capacity mortality_5y --capacity 40 --per-day 600
    """
    if per_day is not None and database is not None:
        raise _unusable("--per-day gives the number of patients, so no record is read: leave out --database.")
    with problems():
        from models_onnx.serving.registry import load_model

        manifest = load_model(name, folder).manifest
    tested = sorted(
        (alerting_of(manifest, row) for row in manifest.thresholds.table), key=lambda alerting: alerting.share
    )
    if per_day is not None:
        volume = Volume(per_day, tuple(row.share * per_day for row in tested), None)
    else:
        volume = _of_record(database, days, manifest, tested)
    fitting = [row for row, cards_a_day in zip(tested, volume.cards, strict=True) if cards_a_day <= cards]
    chosen = fitting[-1] if fitting else None
    if as_json:
        print_json(_document(manifest, cards, volume, tested, chosen))
    else:
        _print(manifest, cards, volume, tested, chosen)
    raise typer.Exit(0 if chosen is not None else 1)


def _of_record(database: str | None, days: int, manifest: Manifest, tested: list[Alerting]) -> Volume:
    since = int((datetime.now(UTC) - timedelta(days=days)).timestamp() * 1e6)
    try:
        highest = highest_percentiles(find_decisions(record_url(database), DecisionFilter(since=since)), manifest)
    except RecordUnavailable as error:
        raise _unusable(f"{str(error)[0].upper()}{str(error)[1:]}; --per-day gives the number of patients.") from error
    if len(highest) < LEAST_SCORED:
        raise _unusable(
            f"The record has {len(highest)} patients whom {manifest.id} scored in the last {days} days, and a day's "
            f"number is told from {LEAST_SCORED} on: give --per-day, or more --days."
        )
    above = [sum(percentile >= row.percentile for percentile in highest.values()) for row in tested]
    return Volume(len(highest) / days, tuple(count / days for count in above), days)


def highest_percentiles(decisions: Iterable[Decision], manifest: Manifest) -> dict[tuple[str, str, int], float]:
    """The highest percentile of each patient and day (UTC) that the model, or the one that takes over, has scored."""
    names = {manifest.id, *([manifest.twin.id] if manifest.twin is not None else [])}
    highest: dict[tuple[str, str, int], float] = {}
    for decision in decisions:
        scores = _basis.decode(decision.basis).scores
        if scores is not None and scores.id in names and scores.percentile is not None:
            key = (decision.client, decision.patient, decision.decided_at // _DAY_MICROSECONDS)
            highest[key] = max(scores.percentile, highest.get(key, 0.0))
    return highest


def _unusable(text: str) -> typer.Exit:
    typer.echo(text, err=True)
    return typer.Exit(2)


def _document(
    manifest: Manifest, cards: float, volume: Volume, tested: list[Alerting], chosen: Alerting | None
) -> dict[str, Any]:
    rows = [
        {**msgspec.to_builtins(row), "cards_a_day": cards_a_day}
        for row, cards_a_day in zip(tested, volume.cards, strict=True)
    ]
    return {
        "model": manifest.id,
        "version": manifest.version,
        "capacity": cards,
        "patients_a_day": volume.scored,
        "days_of_record": volume.days,
        "thresholds": rows,
        "chosen": chosen.share if chosen is not None else None,
    }


def _print(manifest: Manifest, cards: float, volume: Volume, tested: list[Alerting], chosen: Alerting | None) -> None:
    console = wide_console()
    table = Table(
        "top share", "estimate from", "cards a day", "PPV (95 %)", "number needed to alert (95 %)", "events found",
        title=f"{manifest.title}, version {manifest.version}",
    )  # fmt: skip
    for row, cards_a_day in zip(tested, volume.cards, strict=True):
        mark = " <" if chosen is not None and row.share == chosen.share else ""
        table.add_row(
            f"{100 * row.share:g} %{mark}",
            f"{100 * row.probability:.0f} in 100",
            f"{cards_a_day:.1f}",
            _interval(row.ppv, 100, "%.0f") + " in 100",
            _interval(row.needed, 1, "%.1f"),
            f"{100 * row.sensitivity:.0f} in 100",
        )
    console.print(table)
    source = f"the last {volume.days} days of the record" if volume.days is not None else "given; as the cohort"
    console.print(f"{volume.scored:,.1f} patients a day are scored ({source}).", highlight=False, soft_wrap=True)
    console.print(_verdict(manifest, cards, volume, tested, chosen), highlight=False, soft_wrap=True)


def _interval(figure: Interval, factor: int, form: str) -> str:
    value, low, high = (form % (factor * value_of_end) for value_of_end in (figure.value, figure.low, figure.high))
    return f"{value} ({low} to {high})"


def _verdict(manifest: Manifest, cards: float, volume: Volume, tested: list[Alerting], chosen: Alerting | None) -> str:
    if chosen is None:
        least = f"{100 * tested[0].share:g} in 100"
        return (
            f"No tested threshold fits {cards:g} cards a day: the top {least} would be {volume.cards[0]:.1f} a day. "
            "A budget in the rules file can hold back the rest (docs/operations/restraint.md)."
        )
    return (
        f"For {cards:g} cards a day: the top {100 * chosen.share:g} in 100. Set "
        f"CDS_ALERT_SHARE={manifest.id}={chosen.share:g}, or share = {chosen.share:g} in the service's file."
    )
