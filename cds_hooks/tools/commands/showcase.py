"""What `cds-hooks serve --show` shows: the cards of a sample patient and of a drafted order."""

from time import monotonic, sleep

import httpx
import typer

from cds_hooks.samples import SHOWCASE_DRAFT, SHOWCASE_PATIENT, list_samples
from cds_hooks.tools.kit.commands.call import call_sample
from cds_hooks.tools.kit.simulator.chart import ChartError


def show(address: str) -> None:
    """Wait until the server at the address is ready, send the sample calls and print their cards."""
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
    end = monotonic() + seconds
    while monotonic() < end:
        try:
            if httpx.get(f"{address}/readyz", timeout=1).status_code == 200:
                return
        except httpx.HTTPError:
            sleep(0.05)
