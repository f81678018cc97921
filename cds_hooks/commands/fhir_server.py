"""`cds-hooks fhir-server`: charts on disk behind real FHIR over HTTP, well-behaved or not."""

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from cds_hooks.kit.simulator.chart import Chart, ChartError, days_to_today, move_chart, open_chart
from cds_hooks.kit.simulator.fhir_server import BASE, Behaviour, LoggedRequest, Mode, RequestLog, fhir_server
from cds_hooks.settings import settings

_HOST = "127.0.0.1"


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
    delay_ms: Annotated[
        int, typer.Option(min=0, max=600_000, help="In mode slow: milliseconds before each answer.")
    ] = 200,
    retry_after: Annotated[
        int, typer.Option(min=0, max=86_400, help="In modes 429 and 503: the Retry-After, in seconds.")
    ] = 1,
    failures: Annotated[
        int | None,
        typer.Option(min=0, max=1_000_000, help="In modes 429 and 503: how often for each query; else always."),
    ] = None,
    shift_dates: Annotated[
        bool, typer.Option("--shift-dates", help="Move each chart's dates so that its last event is today.")
    ] = False,
    browsers: Annotated[
        bool, typer.Option("--browsers", help="Let pages of any origin read it, as clients in a browser must.")
    ] = False,
) -> None:
    """Serve patients' charts as a FHIR R4 server on this machine, until interrupted.

    Read, search by GET and POST _search, pages, /metadata. What was asked is printed, and is at /requests as JSON.

    Example: cds-hooks fhir-server sample:planning-talk --port 8090 --token secret --page-size 20
    """
    now = settings().as_of or datetime.now(UTC)
    try:
        opened = [_opened(path, now, shift_dates) for path in charts]
    except ChartError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    behaviour = Behaviour(mode, token, page_size, delay_ms / 1000, retry_after, failures)
    listening = _listen(port)
    count = sum(len(chart.resources) for chart in opened)
    address = f"http://{_HOST}:{listening.getsockname()[1]}{BASE}"
    typer.echo(f"FHIR server on {address}: {len(opened)} patients, {count} resources, mode {mode}. Stop with Ctrl-C.")
    app: ASGIApp = fhir_server(opened, behaviour, RequestLog(_tell))
    if browsers:
        app = CORSMiddleware(app, allow_origins=("*",), allow_methods=("*",), allow_headers=("*",))
    _run(app, listening)


def _opened(path: Path, now: datetime, shift_dates: bool) -> Chart:
    chart = open_chart(path, now)
    return move_chart(chart, days_to_today(chart, now)) if shift_dates else chart


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
    except OSError as error:
        typer.echo(f"Port {port} cannot be used ({error.strerror}); choose another with --port.", err=True)
        raise typer.Exit(1) from error
    return listening


def _run(app: ASGIApp, listening: socket.socket) -> None:
    config = uvicorn.Config(app, access_log=False, log_level="warning", timeout_graceful_shutdown=2)
    uvicorn.Server(config).run(sockets=[listening])


def _tell(asked: LoggedRequest) -> None:
    query = f"?{asked.query}" if asked.query else ""
    form = f" [{asked.form}]" if asked.form else ""
    typer.echo(f"{asked.status} {asked.method} {asked.path}{query}{form}")
