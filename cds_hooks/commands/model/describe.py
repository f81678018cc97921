"""`cds-hooks model list`, `card` and `dataset`: which models there are, their cards, and what followed on estimates.

`cds-hooks model capacity`: the threshold of a model for as many cards a day as a team can work off.
"""

import csv
from pathlib import Path
from time import time_ns
from typing import Annotated, Literal

import typer
from rich.table import Table

from cds_hooks.commands.model.console import (
    Folder,
    Name,
    Specs,
    problems,
    today,
    wide_console,
)
from cds_hooks.commands.options import AsJson, Database, as_sentence, failure, print_json, said_in_a_sentence
from cds_hooks.commands.record_options import record_url
from cds_hooks.monitor.capacity import Capacity, TooFewScored, capacity_of_cohort, capacity_of_record
from cds_hooks.settings import settings
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.trusted_models import folder_of, own_keys
from models_onnx.artifact.files import whole_file, write_whole
from models_onnx.errors import ModelError, UnknownModel
from models_onnx.monitoring.rates import Interval
from models_onnx.serving.registry import ARTIFACTS

Format = Literal["json", "html", "chai"]


def list_(folder: Folder = ARTIFACTS, specs: Specs = None, as_json: AsJson = False) -> None:
    """List every version in a folder: whether its files, signature and card hold, its gates, and who signed it.

    Without --folder these are the models of the package, the declared ones that are not trained among them. Which
    version answers is decided by acts of release (cds-hooks release).

    Exit codes: 0 all are ready, 1 one is not.

    Example: cds-hooks model list --json
    """
    with problems():
        from models_onnx.workbench.release.publishing import list_models

        if not folder.is_dir():
            raise UnknownModel(f"--folder {folder}: there is no such folder")
        listed = list_models(own_keys(settings()), folder, specs)
    if as_json:
        print_json(listed)
    else:
        table = Table("name", "version", "title", "state", "release", "AUROC", "digest", "signed by", title="Models")
        for model in listed:
            gates = f", {', '.join(model.gates.red)} not green" if model.gates is not None and model.gates.red else ""
            auroc = "" if model.auroc is None else f"{model.auroc:.3f}"
            columns = (model.name, model.version, model.title, model.state, f"{model.release}{gates}", auroc)
            table.add_row(*columns, model.digest[:12], model.signed_by)
        wide_console().print(table)
    raise typer.Exit(0 if all(model.is_ready for model in listed) else 1)


def card(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's id, id@version, or the id of an equation.")],
    format: Annotated[
        Format, typer.Option(help="json, html (a page for people) or chai (XML of the Coalition for Health AI).")
    ] = "json",
    out: Annotated[Path | None, typer.Option(help="Write it to this file instead of the terminal.")] = None,
    folder: Folder = ARTIFACTS,
    check: Annotated[bool, typer.Option("--check", help="Only say what is missing, by number and name.")] = False,
) -> None:
    """Show the model card: 31 attributes of a predictive model, 13 of a published equation, in the form asked for.

    Exit codes: 0 written, 1 with --check: an attribute is blank, 2 there is no such model or its card is incomplete.

    Example: cds-hooks model card mortality_5y --format html --out card.html
    """
    with problems():
        from models_onnx.model_card.formats import encode_card_as
        from models_onnx.model_card.schema import card_problems
        from models_onnx.workbench.release.card import released_card

        document, state = released_card(name, folder, own_keys(settings()))
        if check:
            blanks = card_problems(document)
            typer.echo("\n".join(blanks or ("The card is complete.",)))
            raise typer.Exit(1 if blanks else 0)
        content = encode_card_as(document, format, state, today())
    if out is None:
        typer.echo(content.decode(), nl=False)
    else:
        write_whole(out, content)


def dataset(
    name: Name,
    out: Annotated[Path, typer.Option(help="Write the rows to this file, as CSV.")],
    database: Database = None,
) -> None:
    """Make a table of a model's mature estimates in the record with what happened, for training and recalibration.

    It has one row for each decision, with its hashed patient, a fold by patient, the inputs as they were then, race and
    ethnicity where recorded, the outcome under the model's own column, and the estimate. A decision is left out until
    its horizon and label lag have passed, and where nobody reported whether the event came. A table from charts is made
    by `cds-hooks data`, with --charts.

    Exit codes: 0 made, 1 no decision is mature with a known outcome, or the record cannot be read.

    Example: cds-hooks model dataset readmission_30d --out tables/readmission_30d.csv
    """
    from cds_hooks.outcomes.followed import followed, table_rows
    from cds_hooks.outcomes.labels import site_labels
    from models_onnx.artifact.folder import read_manifest

    url = record_url(database)
    with said_in_a_sentence(RecordUnavailable, ModelError, OSError):
        configured = settings()
        labels = site_labels(configured)
        if name.partition("@")[0] not in labels:
            raise failure(
                f"No model {name} has outcomes here; there are {', '.join(labels)} (CDS_MODELS_FOLDER names a site's "
                "own)."
            )
        manifest = read_manifest(folder_of(name, configured) / name)
        rows = list(followed(url, labels[manifest.id], time_ns() // 1000))
        if not rows:
            raise failure(f"No decision of {name} is mature with a known outcome: nothing was written.")
        lines = list(table_rows(rows, [item.name for item in manifest.features], manifest.outcome.column))
        with whole_file(out) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
    patients, events = len({row.patient for row in rows}), sum(row.event for row in rows)
    typer.echo(f"{out}: {len(rows):,} rows of {patients:,} patients, {events:,} with the event.")


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
