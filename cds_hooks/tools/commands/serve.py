"""`cds-hooks serve`: the server, which with --show shows itself at work."""

import asyncio
import gc
import os
import signal
import socket
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Annotated

import typer
import uvicorn

from cds_hooks.call.dialects import profile_for
from cds_hooks.call.hold_back.site_file import read_rules_file
from cds_hooks.call.security import open_trust
from cds_hooks.call.services import every_service, services_for
from cds_hooks.evidence.audit.seals import Sealing
from cds_hooks.evidence.storage.content import open_user_names, use_site_keys
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.server.edge import raise_descriptor_limit
from cds_hooks.server.process import DrainingServer, Supervisor, server_config, tcp_socket, unix_socket
from cds_hooks.settings import settings
from cds_hooks.settings.checks import plain_http_fault
from cds_hooks.telemetry.tracing import open_tracing
from cds_hooks.tools.commands.options import failure
from models_onnx.artifact.keys import trusted_keys

LOOPBACK = ("127.0.0.1", "::1", "localhost")
HostOption = Annotated[str, typer.Option(help="Address to listen on. Only loopback addresses without a trust file.")]
AnyHostOption = Annotated[
    bool,
    typer.Option(
        "--any-host",
        help="Allow other addresses without a trust file: only in a container whose port is published to this machine "
        "alone.",
    ),
]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]


def serve(
    host: HostOption = "127.0.0.1",
    port: PortOption = 8085,
    any_host: AnyHostOption = False,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Server processes; one per core is plenty.")] = 1,
    show: Annotated[
        bool, typer.Option("--show", help="Show the cards of a sample patient and of a drafted order, and go on.")
    ] = False,
) -> None:
    """Serve until interrupted.

    Example: cds-hooks serve --port 8085
    """
    # What the start makes lives as long as the process: collecting it again and again costs a fifth of the start.
    # The app switches the collector on when it is ready (`settle_memory`).
    gc.disable()
    settings()  # refuses a setting that makes no sense before a socket is open
    os.umask(0o077)  # every file that the server makes is for its own user only; workers inherit it
    ends_with_terminal = os.isatty(0) and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN  # as nohup sets it
    for unused in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(unused, signal.SIG_IGN)  # they would end or stop the process at once; workers inherit this too
    sockets = [_listen(host, port, any_host=any_host), *_operator_sockets()]
    _check_start()
    if show:
        address = f"http://{host}:{sockets[0].getsockname()[1]}"
        threading.Thread(target=_show_samples, args=(address,), daemon=True).start()
    if workers == 1:
        _run_until_stopped(DrainingServer(server_config(1), ends_with_terminal=ends_with_terminal), sockets)
    else:
        _serve_with(workers, sockets, ends_with_terminal=ends_with_terminal)


def _show_samples(address: str) -> None:
    """Wait until the server at the address is ready, send the sample calls and print their cards."""
    # imported here: most starts need neither a client nor a terminal
    import httpx

    from cds_hooks.samples import SHOWCASE_DRAFT, SHOWCASE_PATIENT, list_samples
    from cds_hooks.tools.kit.commands.call import call_sample
    from cds_hooks.tools.kit.simulator.chart import ChartError

    _wait_until_ready(address)
    typer.echo(f"Serving on {address} (development profile: this machine only, unsigned calls).")
    ordered_for = next(
        sample.id for sample in list_samples() if any(order.draft == SHOWCASE_DRAFT for order in sample.orders)
    )
    try:
        quiet = [*call_sample(address, SHOWCASE_PATIENT), *call_sample(address, ordered_for, SHOWCASE_DRAFT)]
    except (ChartError, httpx.HTTPError) as error:
        typer.echo(f"The samples were not answered: {error or type(error).__name__}", err=True)
    else:
        if quiet:
            typer.echo(f"No card from {', '.join(quiet)}.")
        typer.echo("All reasons: cds-hooks call CHART --service ID.")
    typer.echo(f"Try it yourself: {address}/try. More patients: cds-hooks call. Stop with Ctrl-C.")


def _wait_until_ready(address: str, seconds: float = 60) -> None:
    import httpx

    end = monotonic() + seconds
    while monotonic() < end:
        try:
            if httpx.get(f"{address}/readyz", timeout=1).status_code == 200:
                return
        except httpx.HTTPError:
            sleep(0.05)


def _run_until_stopped(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
    """Serve; to be stopped by SIGINT or SIGTERM is no failure, not to have started is."""
    for stop in (signal.SIGINT, signal.SIGTERM):
        # uvicorn stops in order and then sends itself the signal again, which would end the process as if killed.
        signal.signal(stop, lambda *_: None)
    server.run(sockets=sockets)
    if not server.started:
        raise typer.Exit(3)


def _serve_with(workers: int, sockets: list[socket.socket], *, ends_with_terminal: bool) -> None:
    with TemporaryDirectory(prefix="cds-hooks-metrics-", dir=_in_memory()) as folder:
        if settings().metrics_dir is None:
            os.environ["CDS_METRICS_DIR"] = folder
            settings.cache_clear()
        Supervisor(server_config(workers), sockets, ends_with_terminal=ends_with_terminal).run()


def _in_memory() -> str | None:
    """Return a folder that no full disk stops: what the workers count must be told most of all then."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - its folder is made for one user


def _listen(host: str, port: int, *, any_host: bool = False) -> socket.socket:
    """Return a bound socket, on which uvicorn listens when the server can answer; end the command without one."""
    if host not in LOOPBACK and settings().trust_file is None and not any_host:
        raise failure(
            f"Without a trust file the server takes unsigned calls, so it listens on this machine only, not on {host}. "
            "In a container of its own network start with --any-host and publish the port to 127.0.0.1.",
            2,
        )
    raise_descriptor_limit()
    try:
        listening = tcp_socket(host, port)
    except OSError as error:
        raise failure(
            f"Port {port} on {host} cannot be used ({error.strerror}); choose another with --port."
        ) from error
    if "public_url" not in settings().model_fields_set:
        # Links on cards lead to where this server really listens; worker processes inherit it.
        os.environ["CDS_PUBLIC_URL"] = f"http://{host}:{listening.getsockname()[1]}"
        settings.cache_clear()
    return listening


def _operator_sockets() -> list[socket.socket]:
    """Return the bound socket of CDS_OPERATOR_LISTEN, if it is set; ends the command where it cannot be had."""
    address = settings().operator_address
    if address is None:
        return []
    try:
        listening = unix_socket(Path(address[0])) if address[1] is None else tcp_socket(address[0], address[1])
    except OSError as error:
        raise failure(f"CDS_OPERATOR_LISTEN cannot be listened on ({error.strerror}).") from error
    return [listening]


def _check_start() -> None:
    """Open everything that the server needs once: what cannot be used ends the command before anything is served."""
    if settings().trust_file is not None and settings().as_of is not None:
        raise failure("CDS_AS_OF is for the development profile: with CDS_TRUST_FILE the real time counts.", 2)
    if settings().login in ("accounts", "both") and (fault := plain_http_fault(settings().public_url)):
        raise failure(
            f"CDS_PUBLIC_URL and CDS_LOGIN={settings().login}: passwords would be sent in the clear; {fault}.", 2
        )
    folder = settings().metrics_dir
    if folder is not None and not folder.is_dir():
        raise failure(f"The folder {folder} of CDS_METRICS_DIR is not there, so nothing is served: make it.")
    _check_events()
    asyncio.run(_open_all())


def _check_events() -> None:
    """Read the declaration of feeds, where there is one."""
    if settings().events_file is None:
        return
    try:
        from cds_hooks.add_ons.events.runner import check_declaration
    except ModuleNotFoundError as error:
        text = "CDS_EVENTS_FILE declares feeds, which need the extra: pip install 'cds-hooks-onnx[events]'."
        raise failure(text, 2) from error
    check_declaration(settings(), every_service(services_for(settings())))


async def _open_all() -> None:
    configured = settings()
    profile_for("any client", configured.dialect)
    if configured.hooks_file is not None:  # without one there is nothing to find out, and models take a while to load
        services_for(configured)
    open_tracing(configured).close()
    if configured.rules_file is not None:
        read_rules_file(configured.rules_file)
    if configured.seal_key is not None:
        Sealing(configured)
    trusted_keys(*([configured.model_keys] if configured.model_keys is not None else []))
    use_site_keys(configured)
    open_user_names(configured.record_user, configured.user_keys)
    await open_decision_log(configured.database_url).close()
    await open_trust(configured.trust_file, configured.public_url, configured.database_url).aclose()
