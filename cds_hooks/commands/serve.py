"""`cds-hooks serve` and `cds-hooks run`: the server, and the server showing itself at work."""

import asyncio
import os
import signal
import socket
import threading
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Annotated

import httpx
import typer
import uvicorn
from rich.console import Console

from cds_hooks.calling.chart import Chart, resources_of
from cds_hooks.calling.drawing import draw_answer, draw_error
from cds_hooks.calling.request import build_request, drafts_for
from cds_hooks.governance import RulesFileError, read_rules_file
from cds_hooks.protocol.hooks import WrongDeclaration
from cds_hooks.samples import SHOWCASE_DRAFT, SHOWCASE_PATIENT, list_samples, load_draft, load_patient
from cds_hooks.security import ReplayStoreFailed, TrustFileError, open_trust
from cds_hooks.service import services_with
from cds_hooks.settings import settings
from cds_hooks.storage.log import RecordUnavailable
from cds_hooks.storage.opening import open_decision_log

LOOPBACK = ("127.0.0.1", "::1", "localhost")
HostOption = Annotated[str, typer.Option(help="Address to listen on. Only loopback addresses without a trust file.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]


def serve(
    host: HostOption = "127.0.0.1",
    port: PortOption = 8085,
    workers: Annotated[int, typer.Option(min=1, help="Server processes; one per core is plenty.")] = 1,
) -> None:
    """Serve until interrupted.

    Example: cds-hooks serve --port 8085
    """
    listening = _listen(host, port)
    _check_start()
    if workers == 1:
        _run_until_stopped(uvicorn.Server(_config(1)), listening)
    else:
        _serve_with(workers, listening)


def _run_until_stopped(server: uvicorn.Server, listening: socket.socket) -> None:
    """Serves; to be stopped by SIGINT or SIGTERM is no failure, not to have started is."""
    for stop in (signal.SIGINT, signal.SIGTERM):
        # uvicorn stops in order and then sends itself the signal again, which would end the process as if killed.
        signal.signal(stop, lambda *_: None)
    server.run(sockets=[listening])
    if not server.started:
        raise typer.Exit(3)


def _serve_with(workers: int, listening: socket.socket) -> None:
    from uvicorn.supervisors import Multiprocess

    with TemporaryDirectory(prefix="cds-hooks-metrics-") as folder:
        if "metrics_dir" not in settings().model_fields_set:
            os.environ["CDS_METRICS_DIR"] = folder
            settings.cache_clear()
        Multiprocess(_config(workers), sockets=[listening]).run()


def _config(workers: int) -> uvicorn.Config:
    # No access log: the decision record and /metrics say more. No proxy headers: nothing here depends on the address
    # a request says it comes from.
    return uvicorn.Config(
        "cds_hooks.app:create_app",
        factory=True,
        workers=workers,
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket; ends the command with one sentence where that is not possible."""
    if host not in LOOPBACK and settings().trust_file is None and not settings().allow_any_host:
        typer.echo(
            f"Without a trust file the server takes unsigned calls, so it listens on this machine only, not on {host}. "
            "In a container of its own network set CDS_ALLOW_ANY_HOST=1 and publish the port to 127.0.0.1.",
            err=True,
        )
        raise typer.Exit(2)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        typer.echo(f"Port {port} on {host} cannot be used ({error.strerror}); choose another with --port.", err=True)
        raise typer.Exit(1) from error
    listening.set_inheritable(True)
    if "public_url" not in settings().model_fields_set:
        # Links on cards lead to where this server really listens; worker processes inherit it.
        os.environ["CDS_PUBLIC_URL"] = f"http://{host}:{listening.getsockname()[1]}"
        settings.cache_clear()
    return listening


def _check_start() -> None:
    """Opens everything that the server needs once: what is wrong is said in a sentence before anything is served."""
    if settings().trust_file is not None and settings().as_of is not None:
        typer.echo("CDS_AS_OF is for the development profile: with CDS_TRUST_FILE the real time counts.", err=True)
        raise typer.Exit(2)
    try:
        asyncio.run(_open_all())
    except (RecordUnavailable, ReplayStoreFailed) as error:
        typer.echo(f"The decisions cannot be recorded, so nothing is served: {error}", err=True)
        raise typer.Exit(1) from error
    except TrustFileError as error:
        typer.echo(f"The trust file cannot be used, so nothing is served. {error}", err=True)
        raise typer.Exit(1) from error
    except RulesFileError as error:
        typer.echo(f"The rules file cannot be used, so nothing is served. {error}", err=True)
        raise typer.Exit(1) from error
    except WrongDeclaration as error:
        typer.echo(f"The hooks that are declared cannot be used, so nothing is served. {error}", err=True)
        raise typer.Exit(1) from error


async def _open_all() -> None:
    configured = settings()
    if configured.hooks_file is not None:  # without one there is nothing to find out, and models take a while to load
        services_with(configured.hooks_file)
    if configured.rules_file is not None:
        read_rules_file(configured.rules_file)
    await open_decision_log(configured.database_url).close()
    await open_trust(configured.trust_file, configured.public_url, configured.database_url).aclose()


def run(host: HostOption = "127.0.0.1", port: PortOption = 8085) -> None:
    """Serve, show the cards of a sample patient and of a drafted order, and go on serving until interrupted.

    Example: cds-hooks run
    """
    listening = _listen(host, port)
    _check_start()
    address = f"http://{host}:{listening.getsockname()[1]}"
    server = uvicorn.Server(_config(1))
    show = threading.Thread(target=_show, args=(address,), daemon=True)
    show.start()
    _run_until_stopped(server, listening)


def _show(address: str) -> None:
    console = Console()
    _wait_until_ready(address)
    console.print(f"Serving on {address} (development profile: this machine only, unsigned calls).")
    as_of = settings().as_of or datetime.now(UTC)
    with httpx.Client(base_url=address, timeout=30) as client:
        services = client.get("/cds-services").json()["services"]
        for hook, patient, draft in (("patient-view", SHOWCASE_PATIENT, None), _showcase_order()):
            chart = Chart(resources_of(load_patient(patient, as_of)))
            drafts = drafts_for(chart, resources_of(load_draft(draft, as_of))) if draft else []
            for entry in services:
                if entry["hook"] == hook:
                    _call(client, console, entry, chart, drafts)
    console.print(f"More patients: cds-hooks samples list. This page: {address}/. Stop with Ctrl-C.")


def _showcase_order() -> tuple[str, str, str]:
    patient = next(
        sample.id for sample in list_samples() if any(order.draft == SHOWCASE_DRAFT for order in sample.orders)
    )
    return "order-select", patient, SHOWCASE_DRAFT


def _call(
    client: httpx.Client, console: Console, entry: dict[str, str], chart: Chart, drafts: list[dict[str, object]]
) -> None:
    answer = client.post(f"/cds-services/{entry['id']}", json=build_request(entry, chart, drafts))
    title = f"{entry['hook']} → {entry['id']}"
    if answer.status_code == 200:
        draw_answer(console, title, answer.json())
    else:
        draw_error(console, title, answer.status_code, answer.json())


def _wait_until_ready(address: str, seconds: float = 60) -> None:
    end = monotonic() + seconds
    while monotonic() < end:
        try:
            if httpx.get(f"{address}/readyz", timeout=1).status_code == 200:
                return
        except httpx.HTTPError:
            sleep(0.05)
