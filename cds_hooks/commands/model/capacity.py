"""`cds-hooks model capacity`: the threshold of a model for as many cards a day as a team can work off."""

from typing import Annotated

import typer
from rich.table import Table

from cds_hooks.commands.model.console import Folder, Name, problems, wide_console
from cds_hooks.commands.options import AsJson, Database, as_sentence, failure, print_json
from cds_hooks.commands.record_options import record_url
from cds_hooks.monitor.capacity import Capacity, TooFewScored, capacity_of_cohort, capacity_of_record
from cds_hooks.storage.decision import RecordUnavailable
from models_onnx.monitoring.rates import Interval
from models_onnx.serving.registry import ARTIFACTS


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
        raise failure("--per-day gives the number of patients, so no record is read: leave out --database.", 2)
    with problems():
        from models_onnx.serving.registry import load_model

        manifest = load_model(name, folder).manifest
    try:
        if per_day is not None:
            result = capacity_of_cohort(manifest, cards, per_day)
        else:
            result = capacity_of_record(record_url(database), manifest, cards, days)
    except RecordUnavailable as error:
        raise failure(f"{as_sentence(error).rstrip('.')}; --per-day gives the number of patients.", 2) from error
    except TooFewScored as error:
        raise failure(str(error), 2) from error
    if as_json:
        print_json(result.document)
    else:
        _print(result, manifest.title)
    raise typer.Exit(0 if result.chosen is not None else 1)


def _print(result: Capacity, title: str) -> None:
    table = Table(
        "top share", "estimate from", "cards a day", "PPV (95 %)", "number needed to alert (95 %)", "events found",
        title=f"{title}, version {result.version}",
    )  # fmt: skip
    for row in result.thresholds:
        alerting = row.alerting
        table.add_row(
            f"{100 * alerting.share:g} %{' <' if alerting.share == result.chosen else ''}",
            f"{100 * alerting.probability:.0f} in 100",
            f"{row.cards_a_day:.1f}",
            _interval(alerting.ppv, 100, "%.0f") + " in 100",
            _interval(alerting.needed, 1, "%.1f"),
            f"{100 * alerting.sensitivity:.0f} in 100",
        )
    source = (
        f"the last {result.days_of_record} days of the record"
        if result.days_of_record is not None
        else "given; as the cohort"
    )
    console = wide_console()
    console.print(table)
    console.print(
        f"{result.patients_a_day:,.1f} patients a day are scored ({source}).", highlight=False, soft_wrap=True
    )
    console.print(result.verdict, highlight=False, soft_wrap=True)


def _interval(figure: Interval, factor: int, form: str) -> str:
    value, low, high = (form % (factor * end) for end in (figure.value, figure.low, figure.high))
    return f"{value} ({low} to {high})"
