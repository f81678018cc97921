"""`cds-hooks events`: the feeds of a site, what could not be read of them, and the patient numbers that were merged."""

from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Annotated

import orjson
import typer
from msgspec.structs import asdict

from cds_hooks.commands.options import AsJson, failure, said_in_a_sentence
from cds_hooks.events.declaration import Declaration, DeclarationFault, read_declaration
from cds_hooks.events.inbox import DeadLetter, Inbox, feed_states
from cds_hooks.events.outbox import receiver_states, receivers_of, resend_given_up
from cds_hooks.services import services_for
from cds_hooks.settings import settings


def _declaration() -> Declaration:
    configured = settings()
    if configured.events_file is None:
        raise DeclarationFault("CDS_EVENTS_FILE is not set, so there are no feeds")
    return read_declaration(configured.events_file, services_for(configured))


def _inbox(declaration: Declaration) -> Inbox:
    if not declaration.file.is_file():
        raise DeclarationFault(f"{declaration.file} is not there yet; a server makes it when it starts")
    return Inbox(declaration.file, tuple(declaration.effect.values()))


def _letter(inbox: Inbox, number: int) -> DeadLetter:
    letter = inbox.dead_letter(number)
    if letter is None:
        raise DeclarationFault(f"there is no dead letter {number}; cds-hooks events --dead lists them")
    return letter


def events(
    dead: Annotated[
        bool, typer.Option("--dead", help="The messages that could not be read, each with its reason.")
    ] = False,
    number: Annotated[
        int | None,
        typer.Option("--letter", min=1, max=2**62, metavar="NUMBER", help="This dead letter with its content."),
    ] = None,
    replay: Annotated[
        int | None, typer.Option(min=1, max=2**62, metavar="NUMBER", help="Take this dead letter in again.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="With --replay: the message as it was mended, in place of what came.")
    ] = None,
    drop: Annotated[
        int | None, typer.Option(min=1, max=2**62, metavar="NUMBER", help="Remove this dead letter.")
    ] = None,
    unmerge: Annotated[
        str | None, typer.Option(metavar="PATIENT", help="Undo the merge of this patient number into another one.")
    ] = None,
    resend: Annotated[
        str | None, typer.Option(metavar="RECEIVER", help="Send the events again that this receiver refused for good.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the feeds of events and what could not be read, mend it, undo a merge, or send events again.

    Of each feed: when the newest message came, how many came, how many are dead letters. Of each receiver of this
    server's events: how many wait, are set aside behind a refusal, and were given up. A letter that is removed leaves
    that it came and why it was refused. After a merge is undone, facts that came under the number belong to it again.

    Exit code 1 where no feeds are declared, where there is no such letter or merge, or the letter cannot be read.

    Example: cds-hooks events --replay 7 --file mended.hl7
    """
    mending = 4 - [replay, drop, unmerge, resend].count(None)
    if mending > 1:
        raise failure("Give one of --replay, --drop, --unmerge and --resend.", 2)
    with said_in_a_sentence(DeclarationFault, OSError):
        declaration = _declaration()
        inbox = _inbox(declaration)
        if replay is not None:
            _replay(declaration, _letter(inbox, replay), file)
        elif drop is not None:
            _letter(inbox, drop)
            inbox.settle(drop, "dropped")
            typer.echo(f"Dead letter {drop} was dropped.")
        elif unmerge is not None:
            if not inbox.unmerge(unmerge, time()):
                raise DeclarationFault(f"{unmerge} is not merged into another number")
            typer.echo(f"{unmerge} stands for itself again.")
        elif resend is not None:
            if resend not in receivers_of(declaration):
                raise DeclarationFault(f"{resend} is no receiver here; cds-hooks events lists them")
            typer.echo(f"{resend_given_up(inbox, resend)} events are sent to {resend} again.")
        elif dead or number is not None:
            _print_letters([_letter(inbox, number)] if number is not None else inbox.dead_letters(), number, as_json)
        else:
            _print_feeds(declaration, inbox, as_json)


def _print_feeds(declaration: Declaration, inbox: Inbox, as_json: bool) -> None:
    states = feed_states(inbox, declaration.feed)
    receivers = receiver_states(inbox, receivers_of(declaration))
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


def _print_letters(letters: list[DeadLetter], number: int | None, as_json: bool) -> None:
    if as_json:
        names = [name for name in DeadLetter.__struct_fields__ if name != "content"]
        typer.echo(orjson.dumps([{name: getattr(letter, name) for name in names} for letter in letters]))
        return
    for letter in letters:
        typer.echo(f"{letter.sequence}  {_moment(letter.received_at)}  {letter.source}  {letter.type}  {letter.reason}")
        if number is not None:
            typer.echo(letter.content.replace(b"\r", b"\n").decode("utf-8", "replace"))


def _replay(declaration: Declaration, letter: DeadLetter, file: Path | None) -> None:
    from cds_hooks.events.rescoring import replay_letter

    content = file.read_bytes() if file is not None else letter.content
    if reason := replay_letter(declaration, settings(), letter, content, time()):
        raise failure(f"It cannot be read: {reason}")
    typer.echo(f"Dead letter {letter.sequence} was taken in.")


def _moment(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds")
