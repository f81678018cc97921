"""`cds-hooks events`: the feeds of a site, what waits for receivers, and the patient numbers that were merged."""

from datetime import UTC, datetime
from time import time
from typing import Annotated

import orjson
import typer
from msgspec.structs import asdict

from cds_hooks.commands.options import AsJson, said_in_a_sentence
from cds_hooks.events.declaration import Declaration, DeclarationFault, read_declaration
from cds_hooks.events.inbox import Inbox, feed_states
from cds_hooks.events.outbox import receiver_states
from cds_hooks.services import every_service, services_for
from cds_hooks.settings import settings


def _declaration() -> Declaration:
    configured = settings()
    if configured.events_file is None:
        raise DeclarationFault("CDS_EVENTS_FILE is not set, so there are no feeds")
    return read_declaration(configured.events_file, every_service(services_for(configured)))


def _inbox(declaration: Declaration) -> Inbox:
    if not declaration.file.is_file():
        raise DeclarationFault(f"{declaration.file} is not there yet; a server makes it when it starts")
    return Inbox(declaration.file, tuple(declaration.effect.values()))


def events(
    unmerge: Annotated[
        str | None, typer.Option(metavar="PATIENT", help="Undo the merge of this patient number into another one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the feeds of events and what waits for the receivers of this server's own, or undo a merge.

    Of each feed: when the newest message came, how many came, how many are dead letters. Of each receiver of this
    server's events: how many wait, are set aside behind a refusal, and were given up. The page /ops has the dead
    letters, to be mended, taken in again or dropped, and sends again what was given up. After a merge is undone, facts
    that came under the number belong to it again.

    Exit code 1 where no feeds are declared or there is no such merge.

    Example: cds-hooks events --unmerge MRN0999
    """
    with said_in_a_sentence(DeclarationFault, OSError):
        declaration = _declaration()
        inbox = _inbox(declaration)
        if unmerge is not None:
            if not inbox.unmerge(unmerge, time()):
                raise DeclarationFault(f"{unmerge} is not merged into another number")
            typer.echo(f"{unmerge} stands for itself again.")
        else:
            _print_feeds(declaration, inbox, as_json)


def _print_feeds(declaration: Declaration, inbox: Inbox, as_json: bool) -> None:
    states = feed_states(inbox, declaration.feed)
    receivers = receiver_states(inbox, declaration.webhook)
    if as_json:
        typer.echo(orjson.dumps([asdict(state) for state in (*states, *receivers)]))
        return
    for state in states:
        newest = _moment(state.newest) if state.newest else "never"
        typer.echo(f"{state.feed}: newest message {newest}, {state.messages} messages, {state.dead} dead letters")
    for receiver in receivers:
        since = f", the oldest since {_moment(receiver.oldest)}" if receiver.oldest else ""
        typer.echo(
            f"{receiver.receiver}: {receiver.waiting} events wait and {receiver.set_aside} are set aside{since}; "
            f"{receiver.given_up} were given up"
        )


def _moment(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds")
