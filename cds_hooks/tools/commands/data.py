"""`cds-hooks data`: what is wrong with a table; a site's features and their table; what followed on estimates."""

import csv
from pathlib import Path
from time import time_ns
from typing import Annotated, Any

import typer
from rich.table import Table

from cds_hooks.call.trusted_models import folder_of
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.people.web.files import plain_cell
from cds_hooks.settings import settings
from cds_hooks.tools.commands.model.console import problems, wide_console
from cds_hooks.tools.commands.options import Database, failure, print_json, said_in_a_sentence
from cds_hooks.tools.commands.record_options import record_url
from cds_hooks.tools.kit.tables import print_table
from fhir.terminology.plain_file import unreadable
from models_onnx.artifact.files import whole_file
from models_onnx.errors import ModelError


def data(
    where: Annotated[
        Path,
        typer.Argument(metavar="TABLE|FOLDER|MODEL", help="A table, a folder with features.toml, or a model's id."),
    ],
    model: Annotated[str | None, typer.Option(help="Whose table it is, where its name does not say it.")] = None,
    specs: Annotated[Path | None, typer.Option(help="Folder with declarations of models of your own.")] = None,
    chart: Annotated[
        Path | None, typer.Option(help="A chart (a Bundle of FHIR): the value of each declared feature in it.")
    ] = None,
    as_of: Annotated[str | None, typer.Option(help="With --chart: the day, as 2026-11-20; default: now.")] = None,
    charts: Annotated[
        Path | None, typer.Option(help="Charts (Bundles or NDJSON) of which --out gets the table of declared features.")
    ] = None,
    followed: Annotated[
        bool, typer.Option("--followed", help="Make --out of the model's mature estimates with what happened.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="With --charts or --followed: the file of the table, CSV.")] = None,
    database: Database = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check a table against the declaration of its model: columns, keys, folds, values, units, look-ahead.

    Counts and examples without identifiers.

    Of a folder with features.toml: words, unit, codes, window and range of each feature that a site declares, as
    Markdown; with --chart what each is in it, with the dated values that made it, or why it is missing. With --charts
    and --out the table of a site's own, before there is a model: table.toml beside it says from which instant one
    predicts, which event is meant and within how many days; the report counts the events and what is missing.

    With --followed, for training and recalibration, one row for each decision of the model: its hashed patient, a fold
    by patient, the inputs as they were then, race and ethnicity where recorded, the outcome under the model's own
    column, and the estimate. A decision is left out until its horizon and label lag have passed, and where nobody
    reported whether the event came.

    Exit codes: 0 no error (there may be warnings), 1 an error, 2 it cannot be read or a declaration does not hold.

    Example: cds-hooks data rows.csv.gz --model mortality_5y
    """
    if followed:
        if out is None:
            raise failure("--followed needs --out, the file of the table.", 2)
        _write_followed(str(where), out, database)
        return
    if not where.exists():
        raise failure(f"{unreadable(where)}. Give a table or a folder with features.toml; nothing was checked.", 2)
    if where.is_dir() and charts is None:
        _describe_features(where, chart, as_of)
        return
    with problems():
        report = _report(where, model, specs) if charts is None else _table(where, charts, out)
    if as_json:
        document = {"name": report.name, "kind": report.kind, "counts": report.counts, "passed": report.passed}
        print_json({**document, "findings": report.findings})
    else:
        _show(report)
    raise typer.Exit(0 if report.passed else 1)


def _write_followed(name: str, out: Path, database: str | None) -> None:
    from cds_hooks.evidence.outcomes.followed import followed, table_rows
    from cds_hooks.evidence.outcomes.labels import site_labels
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
            writer = csv.writer(file)
            writer.writerow(map(plain_cell, lines[0]))
            writer.writerows([plain_cell(value) for value in line.values()] for line in lines)
    patients, events = len({row.patient for row in rows}), sum(row.event for row in rows)
    typer.echo(f"{out}: {len(rows):,} rows of {patients:,} patients, {events:,} with the event.")


def _describe_features(folder: Path, chart: Path | None, as_of: str | None) -> None:
    from cds_hooks.tools.commands.score import moment_of
    from fhir.mapping.features.catalog import FEATURES, data_dictionary, features_named
    from fhir.mapping.features.declared import add_declared_features, values_in_words
    from fhir.mapping.features.feature import FeatureFault
    from models_onnx.errors import DeclarationError
    from models_onnx.workbench.training.data.chart_table import FILE, read_table

    with problems():
        try:
            names = add_declared_features(folder)
        except FeatureFault as fault:
            raise DeclarationError(str(fault)) from fault
        if (folder / FILE).is_file():
            names = (*read_table(folder).features, *names)
        if not names:
            raise DeclarationError(f"{folder} has no features.toml: give a table, or a folder that has one")
        if chart is None:
            typer.echo(data_dictionary(FEATURES[name] for name in names), nl=False)
            return
        for line in values_in_words(chart, moment_of(as_of)[0], features_named(names)):
            typer.echo(line)


def _table(folder: Path, charts: Path, out: Path | None) -> Any:
    """Return the report on the table of a site's own features, which is written."""
    from fhir.mapping.features.declared import add_declared_features
    from fhir.mapping.features.feature import FeatureFault
    from models_onnx.errors import DeclarationError, TrainingRefused
    from models_onnx.workbench.training.data.chart_table import write_feature_table

    if out is None:
        raise TrainingRefused("--charts needs --out, the file of the table")
    try:
        return write_feature_table(folder, add_declared_features(folder), charts, out)
    except FeatureFault as fault:
        raise DeclarationError(str(fault)) from fault


def _report(where: Path, model: str | None, specs: Path | None) -> Any:
    from models_onnx.workbench.training.data.check_tables import check_table, spec_of_table

    return check_table(spec_of_table(where, model, specs), where)


def _show(report: Any) -> None:
    counts = ", ".join(f"{count:,} {noun}" for noun, count in report.counts.items())
    table = Table("", "what", "where", "how often", "examples", title=f"{report.name} ({report.kind}): {counts}")
    for finding in report.findings:
        description = f"{finding.kind}: {finding.text}"
        table.add_row(finding.severity, description, finding.where, f"{finding.count:,}", "; ".join(finding.examples))
    print_table(table, wide_console())
    typer.echo("No error." if report.passed else "There are errors.")
