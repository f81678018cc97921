"""`cds-hooks samples`: the invented patients that come with the package."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cds_hooks.kit.commands.options import AsJson, clock, stop
from cds_hooks.kit.samples import list_samples, load_patient


def samples(
    sample_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Print the Bundle of this sample, with today's dates.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the invented sample patients with their drafted orders, or print one: always as old as their story says.

    Example: cds-hooks samples healthy-adult
    """
    patients = list_samples()
    if sample_id is not None:
        if sample_id not in {sample.id for sample in patients}:
            stop(f"there is no sample {sample_id}; see: cds-hooks samples")
        _print_json(load_patient(sample_id, clock()))
    elif as_json:
        _print_json([asdict(sample) for sample in patients])
    else:
        table = Table("patient", "who it is", "drafts", title="Sample patients: cds-hooks call sample:PATIENT")
        table.caption = "With a draft: cds-hooks call sample:PATIENT --draft sample:DRAFT"
        for sample in patients:
            drafts = "\n".join(order.draft for order in sample.orders)
            table.add_row(sample.id, f"{sample.title}. {sample.story}", drafts)
        Console().print(table)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
