"""What `cds-hooks run` shows: the cards of a sample patient and of a drafted order."""

from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import httpx
import typer

from cds_hooks.kit.commands.call import call
from cds_hooks.kit.samples import SHOWCASE_DRAFT, SHOWCASE_PATIENT, list_samples


def show(address: str) -> None:
    """Waits until the server at the address is ready, sends the sample calls and prints their cards."""
    _wait_until_ready(address)
    typer.echo(f"Serving on {address} (development profile: this machine only, unsigned calls).")
    ordered_for = next(
        sample.id for sample in list_samples() if any(order.draft == SHOWCASE_DRAFT for order in sample.orders)
    )
    with suppress(typer.Exit):  # how the command ends
        call(Path(f"sample:{SHOWCASE_PATIENT}"), url=address)
    with suppress(typer.Exit):
        call(Path(f"sample:{ordered_for}"), draft=[Path(f"sample:{SHOWCASE_DRAFT}")], url=address)
    typer.echo(f"Try it yourself: {address}/try. More patients: cds-hooks samples. Stop with Ctrl-C.")


def _wait_until_ready(address: str, seconds: float = 60) -> None:
    end = monotonic() + seconds
    while monotonic() < end:
        try:
            if httpx.get(f"{address}/readyz", timeout=1).status_code == 200:
                return
        except httpx.HTTPError:
            sleep(0.05)
