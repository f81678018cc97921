"""`fhir-server` of the kit: charts behind real FHIR over HTTP; and the list of the invented patients."""

import json
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Annotated

import typer
from rich.table import Table

from cds_hooks.samples import list_samples
from cds_hooks.tools.kit.commands.options import clock, stop
from cds_hooks.tools.kit.simulator.chart import Chart, ChartError, days_to_today, move_chart, open_chart
from cds_hooks.tools.kit.simulator.fhir_server import Behaviour, LoggedRequest, Mode, serving_fhir
from cds_hooks.tools.kit.tables import print_table


def serve_fhir(
    charts: Annotated[
        list[Path], typer.Argument(metavar="CHART...", help="A patient's Bundle, JSON or JSON.gz; or sample:ID.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8090,
    token: Annotated[str | None, typer.Option(help="Access token that every request must carry; else none.")] = None,
    page_size: Annotated[
        int, typer.Option(min=1, max=10_000, help="Most entries of one page, whatever _count says.")
    ] = 50,
    mode: Annotated[Mode, typer.Option(help="How the server behaves.")] = "normal",
    shift_dates: Annotated[
        bool, typer.Option("--shift-dates", help="Move each chart's dates so that its last event is today.")
    ] = False,
    browsers: Annotated[
        bool, typer.Option("--browsers", help="Let pages of any origin read it, as clients in a browser must.")
    ] = False,
) -> None:
    """Serve patients' charts as a FHIR R4 server on this machine, until interrupted.

    Read, search by GET and POST _search, pages, /metadata. What was asked is printed.

    Example: python -m cds_hooks.tools.kit fhir-server sample:planning-talk --port 8090 --token secret --page-size 20
    """
    try:
        opened = [_open_chart(path, shift_dates) for path in charts]
    except ChartError as error:
        stop(str(error))
    behaviour = Behaviour(mode, token, page_size, browsers=browsers)
    resources = [resource for chart in opened for resource in chart.resources]
    with ExitStack() as stack:
        try:
            server = stack.enter_context(serving_fhir(resources, behaviour, _print_request, port=port))
        except OSError as error:
            stop(f"Port {port} cannot be used ({error.strerror}); choose another with --port.", code=1)
        counts = f"{len(opened)} patients, {len(resources)} resources"
        typer.echo(f"FHIR server on {server.base}: {counts}, mode {mode}. Stop with Ctrl-C.")
        with suppress(KeyboardInterrupt):
            Event().wait()


def _open_chart(path: Path, shift_dates: bool) -> Chart:
    now = clock()
    chart = open_chart(path, now)
    return move_chart(chart, days_to_today(chart, now)) if shift_dates else chart


def _print_request(request: LoggedRequest) -> None:
    query = f"?{request.query}" if request.query else ""
    form = f" [{request.form}]" if request.form else ""
    typer.echo(f"{request.status} {request.method} {request.path}{query}{form}")


def list_of_samples(as_json: bool) -> None:
    """Print the invented sample patients with their drafted orders."""
    patients = list_samples()
    if as_json:
        typer.echo(json.dumps([asdict(sample) for sample in patients], indent=2, ensure_ascii=False))
    else:
        table = Table("patient", "who it is", "drafted orders", title="Sample patients: cds-hooks call sample:PATIENT")
        table.caption = "With a draft: cds-hooks call sample:PATIENT --draft sample:DRAFT"
        for sample in patients:
            drafts = "\n".join(order.draft for order in sample.orders)
            table.add_row(sample.id, sample.title, drafts)
        print_table(table)
