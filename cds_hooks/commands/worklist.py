"""`cds-hooks worklist`: what patient-view found missing and did not interrupt for, as a list to work off."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.commands.options import Client, Database, failure
from cds_hooks.commands.record_options import note_export, record_url
from cds_hooks.record_views import open_follower
from cds_hooks.settings import settings
from cds_hooks.storage import RecordUnavailable
from cds_hooks.worklist.output import worklist_bundle, worklist_csv
from cds_hooks.worklist.worklist import read_worklist
from models_onnx.artifact.files import write_whole


def worklist(
    out: Annotated[Path, typer.Option(help="Where it goes: .csv, or .json for a FHIR List with its Tasks.")],
    capacity: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many patients the list has at most.")] = 50,
    days: Annotated[int, typer.Option(min=1, max=365, help="How far back decisions are read.")] = 90,
    client: Client = None,
    database: Database = None,
) -> None:
    """List the tests and vaccines that were found missing and for which no card interrupted, the most urgent first.

    It is made from the record: of each patient the newest decision of each service counts. One row per patient, with
    everything that can be ordered, the reasons, the risk by the newest estimate of a model, and the days since the
    last call about the patient; ordered by risk times things to order times days. What was answered rests as its card
    does, and who has died or is in palliative care is left out. The list has names of patients: keep it as you keep
    the record.

    Exit codes: 0 written, 1 there is no record that can be read, 2 the output has no known form.

    Example: cds-hooks worklist --out worklist.csv --capacity 20
    """
    if out.suffix not in (".csv", ".json"):
        raise failure(f"{out.name}: write to a name that ends in .csv or .json (FHIR List and Task).", 2)
    now = settings().as_of or datetime.now(UTC)
    try:
        url = record_url(database)
        follower = open_follower(settings(), url)
        follower.catch_up()
        entries = read_worklist(follower.views, now, capacity, days, client)
        note_export(url, "worklist")
    except RecordUnavailable as error:
        raise failure(str(error)) from error
    write_whole(out, worklist_csv(entries) if out.suffix == ".csv" else worklist_bundle(entries, now))
    typer.echo(f"{len(entries.rows):,} patients, {entries.others:,} more beyond the capacity: {out}")
    if entries.answered:
        typer.echo(f"{entries.answered:,} findings rest because their card was answered.")
