"""`cds-hooks events`: the feeds of a site, what could not be read of them, and the patient numbers that were merged."""

from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Annotated

import orjson
import typer

from cds_hooks.commands.options import AsJson
from cds_hooks.commands.sentences import said_in_a_sentence
from cds_hooks.events.declaration import Declaration, DeclarationFault, V2Feed, read_declaration
from cds_hooks.events.inbox import DeadLetter, Inbox, feed_states
from cds_hooks.services import services_for
from cds_hooks.settings import settings

app = typer.Typer(no_args_is_help=True, help="Look at the feeds of events, mend what could not be read, undo a merge.")

Number = Annotated[int, typer.Argument(help="The number of the dead letter, as `cds-hooks events dead` lists it.")]


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
        raise DeclarationFault(f"there is no dead letter {number}; cds-hooks events dead lists them")
    return letter


@app.command()
def show(as_json: AsJson = False) -> None:
    """List the feeds: when the newest message came, how many came, and how many are dead letters.

    Exit code 1 where no feeds are declared.

    Example: cds-hooks events show --json
    """
    with said_in_a_sentence(DeclarationFault):
        declaration = _declaration()
        states = feed_states(_inbox(declaration), declaration.feed)
    if as_json:
        typer.echo(orjson.dumps([{name: getattr(state, name) for name in state.__struct_fields__} for state in states]))
        return
    for state in states:
        newest = _moment(state.newest) if state.newest else "never"
        typer.echo(f"{state.feed}: newest message {newest}, {state.messages} messages, {state.dead} dead letters")


@app.command()
def dead(
    number: Annotated[int | None, typer.Argument(help="Print this one with its content.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the messages that could not be read, each with its reason, or print one with its content.

    The content is a patient's data. Exit code 1 where there is no such message.

    Example: cds-hooks events dead --json
    """
    with said_in_a_sentence(DeclarationFault):
        inbox = _inbox(_declaration())
        letters = [_letter(inbox, number)] if number is not None else inbox.dead_letters()
    if as_json:
        shown = [
            {name: getattr(letter, name) for name in letter.__struct_fields__ if name != "content"}
            for letter in letters
        ]
        typer.echo(orjson.dumps(shown))
        return
    for letter in letters:
        typer.echo(f"{letter.sequence}  {_moment(letter.received_at)}  {letter.source}  {letter.type}  {letter.reason}")
        if number is not None:
            typer.echo(letter.content.replace(b"\r", b"\n").decode("utf-8", "replace"))


@app.command()
def replay(
    number: Number,
    file: Annotated[Path | None, typer.Option(help="The message as it was mended, in place of what came.")] = None,
) -> None:
    """Take a dead letter in again, as it came or as it was mended, and remove it where it can be read now.

    Exit code 1 where it still cannot be read.

    Example: cds-hooks events replay 7 --file mended.hl7
    """
    from cds_hooks.events.replaying import replay_letter

    with said_in_a_sentence(DeclarationFault, OSError):
        declaration = _declaration()
        letter = _letter(_inbox(declaration), number)
        feed = declaration.feed.get(letter.source)
        if not isinstance(feed, V2Feed):
            raise DeclarationFault(f"{letter.source} is no feed of HL7 v2 messages here")
        content = file.read_bytes() if file is not None else letter.content
        reason = replay_letter(declaration, settings(), feed, letter, content, time())
    if reason:
        typer.echo(f"It cannot be read: {reason}", err=True)
        raise typer.Exit(1)
    typer.echo(f"Dead letter {number} was taken in.")


@app.command()
def drop(number: Number) -> None:
    """Remove a dead letter without an effect; that it came and why it was refused stays.

    Exit code 1 where there is no such dead letter.

    Example: cds-hooks events drop 7
    """
    with said_in_a_sentence(DeclarationFault):
        inbox = _inbox(_declaration())
        _letter(inbox, number)
        inbox.settle(number, "dropped")
    typer.echo(f"Dead letter {number} was dropped.")


@app.command()
def unmerge(
    merged: Annotated[str, typer.Argument(help="The patient number that was merged into another one.")],
) -> None:
    """Undo a merge: facts that came under this number belong to it again.

    Exit code 1 where the number was not merged.

    Example: cds-hooks events unmerge MRN0999
    """
    with said_in_a_sentence(DeclarationFault):
        inbox = _inbox(_declaration())
        if not inbox.unmerge(merged, time()):
            raise DeclarationFault(f"{merged} is not merged into another number")
    typer.echo(f"{merged} stands for itself again.")


def _moment(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds")
