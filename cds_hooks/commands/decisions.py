"""`cds-hooks decisions`: what was answered, and on what basis."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import orjson
import typer
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from cards.extension import EXTENSION_KEY
from cds_hooks.commands.options import (
    AsJson,
    Before,
    Client,
    Database,
    Service,
    Since,
    failure,
    print_json,
    said_in_a_sentence,
)
from cds_hooks.commands.record_options import microseconds, possible_users, record_url
from cds_hooks.commands.replay import replay
from cds_hooks.monitor.finder import book_for
from cds_hooks.monitor.finder import find as find_places
from cds_hooks.record_views import open_follower
from cds_hooks.settings import settings
from cds_hooks.storage import Decision, FeedbackItem, RecordUnavailable, decision_of
from cds_hooks.storage.decision import Outcome
from cds_hooks.storage.queries import DecisionFilter, feedback_on, get_decision

if TYPE_CHECKING:
    from cds_hooks.hold_back.checks import HeldBack

app = typer.Typer(no_args_is_help=True, help="Read the record of decisions.")


@app.command("list")
def list_(
    identifier: Annotated[
        str | None, typer.Argument(metavar="ID", help="The hookInstance of a call, the uuid of a card, or its id.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many, at most.")] = 20,
    service: Service = None,
    outcome: Annotated[Outcome | None, typer.Option(help="With this outcome only.")] = None,
    client: Client = None,
    patient: Annotated[str | None, typer.Option(help="About this patient only.")] = None,
    user: Annotated[str | None, typer.Option(help="Shown to this user (as Practitioner/1) of --client.")] = None,
    rule: Annotated[str | None, typer.Option(help="In which this rule found something, or said why not.")] = None,
    silent: Annotated[
        bool, typer.Option("--silent", help="Only where a card was held back; each with its reason.")
    ] = False,
    since: Since = None,
    until: Before = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """List decisions, the newest first; exit code 1 where an ID is given that no decision has.

    Example: cds-hooks decisions list --limit 5 --outcome cards --since 2026-11-01
    """
    with _said_in_a_sentence():
        url = record_url(database)
        if identifier is not None:
            _list_by_id(url, identifier, as_json)
            return
        users = None if user is None else possible_users(client or "anonymous", user)
        about = None if patient is None else patient.removeprefix("Patient/")
        reasons = _reasons_to_hold_back() if silent else ()
        wanted = DecisionFilter(
            service, outcome, client, about, users, microseconds(since), microseconds(until), rule, reasons
        )
        decisions_shown = _find(url, wanted, limit)
    if as_json:
        print_json([_summary(decision) for decision in decisions_shown])
        return
    _draw_list(decisions_shown, partial(_withheld, reasons) if silent else _outcome_text)


_MOST_OF_A_CALL = 100


def _list_by_id(url: str, identifier: str, as_json: bool) -> None:
    """List the decisions of a hook call, of a card or of a suggestion."""
    decision = get_decision(url, decision_of(identifier) or identifier)
    by_call = DecisionFilter(hook_instance=identifier.strip())
    decisions = [decision] if decision else _find(url, by_call, _MOST_OF_A_CALL)
    if as_json:
        print_json([_summary(decision) for decision in decisions])
    else:
        _draw_list(decisions, _outcome_text)
    raise typer.Exit(0 if decisions else 1)


def _find(url: str, wanted: DecisionFilter, limit: int) -> list[Decision]:
    """Return the newest decisions that the filter describes; in a large record by the book of counts, made current."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Counting decisions", total=None, visible=False)
        book = book_for(
            url,
            open_follower(settings(), url),
            wanted,
            lambda done: progress.update(task, completed=done, visible=True),
        )
    return [row.decision for row in islice(find_places(url, book, wanted), limit)]


def _draw_list(decisions: list[Decision], text_of: Callable[[dict[str, Any]], str]) -> None:
    table = _table("decision", "what was said")
    for decision in decisions:
        time = _time(decision).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(Text(f"{decision.id}\n{time} {decision.service}"), Text(text_of(_summary(decision))))
    Console().print(table if decisions else "No decision in the record is like that.")


@app.command()
def show(
    decision: Annotated[str, typer.Argument(metavar="ID", help="Of a decision, or the uuid of one of its cards.")],
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Show one decision: its cards, the inputs with their evidence, what was not said and why, timings, feedback.

    Of each card that was held back: by which check and act, since when, and what would let it through.

    Example: cds-hooks decisions show 01a1f851-2afd-7ec4-9e85-272e25f40000
    """
    url = record_url(database)
    with _said_in_a_sentence():
        decision_row = get_decision(url, decision_of(decision) or decision)
        answers = feedback_on(url, decision_row.id) if decision_row else []
    if decision_row is None:
        raise failure(f"There is no decision {decision} in the record; cds-hooks decisions list shows those there are.")
    with _said_in_a_sentence():
        whole = _everything(decision_row, answers, _held_back(url, decision_row))
    if as_json:
        print_json(whole)
    else:
        _draw(Console(), whole)


def _held_back(url: str, decision: Decision) -> "list[HeldBack]":
    from cds_hooks.commands.release import acts_until  # the checks load the rules; the other commands do without
    from cds_hooks.hold_back.checks import explain_held_back
    from fhir.record.refusals import WhyNot

    silences = [WhyNot(*row) for row in orjson.loads(decision.basis).get("silence", [])]
    if not silences:
        return []
    acts_then = partial(acts_until, url, decision.decided_at / 1e6)
    return explain_held_back(silences, decision.service, decision.client, acts_then)


app.command()(replay)


def _table(*columns: str) -> Table:
    """In a narrow terminal the last column goes on in the next line; nothing is cut off."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, no_wrap=column != columns[-1], overflow="fold")
    return table


_said_in_a_sentence = partial(said_in_a_sentence, RecordUnavailable)


def _time(decision: Decision) -> datetime:
    return datetime.fromtimestamp(decision.decided_at / 1e6, UTC)


def _summary(decision: Decision) -> dict[str, Any]:
    basis = orjson.loads(decision.basis)
    return {
        "id": decision.id,
        "decided_at": _time(decision).isoformat(),
        "hook": decision.hook,
        "service": decision.service,
        "hook_instance": decision.hook_instance,
        "client": decision.client,
        "patient": decision.patient,
        "user": decision.user_id,
        "outcome": decision.outcome,
        "input_digest": decision.input_digest,
        "models": orjson.loads(decision.models),
        "cards": [card["summary"] for card in orjson.loads(decision.response).get("cards") or []],
        "silence": [
            {"subject": subject, "reason": code, "text": text} for subject, code, text in basis.get("silence", [])
        ],
    }


def _withheld(reasons: Collection[str], summary: dict[str, Any]) -> str:
    """Return what was held back, each with its reason."""
    lines = [f"{entry['reason']}: {entry['text']}" for entry in summary["silence"] if entry["reason"] in reasons]
    return "\n".join(lines)


def _reasons_to_hold_back() -> Collection[str]:
    from cds_hooks.hold_back.checks import SUPPRESSED  # the checks load the rules; a list starts without them

    return SUPPRESSED


def _outcome_text(summary: dict[str, Any]) -> str:
    """Return the cards' summaries, or the first reason for there being none."""
    if summary["cards"]:
        return "\n".join(summary["cards"])
    reasons = [entry["text"] for entry in summary["silence"]] or ["no reason was recorded"]
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"silent: {reasons[0]}{more}"


def _everything(
    decision: Decision, answers: list[FeedbackItem], held_back: "Sequence[HeldBack]" = ()
) -> dict[str, Any]:
    from cds_hooks.decision_history import decision_history  # it loads the checks; a list does without

    basis = orjson.loads(decision.basis)
    return {
        **_summary(decision),
        "response": orjson.loads(decision.response),
        "basis": basis,
        "feedback": [msgspec.structs.asdict(item) for item in answers],
        "history": decision_history(decision, answers).lines,
        "held_back": [msgspec.to_builtins(held) for held in held_back],
    }


def _draw(console: Console, decision: dict[str, Any]) -> None:
    from cds_hooks.kit.simulator.terminal import print_answer  # of a card: a list starts without it

    basis = decision["basis"]
    facts = Table.grid(padding=(0, 2))
    for name in ("id", "decided_at", "hook", "service", "hook_instance", "client", "patient", "user", "input_digest"):
        facts.add_row(name, Text(str(decision[name])))
    for model in decision["models"]:
        facts.add_row("model", Text(f"{model['id']} {model['version']}, sha256 {model['sha256']}"))
    for name in ("as_of", "probability"):
        if (value := basis.get(name) or (basis.get("scores") or {}).get(name)) is not None:
            facts.add_row(name, Text(str(value)))
    if trace := basis.get("trace"):
        facts.add_row("trace", Text(str(trace["id"])))
    console.print(facts)
    console.print(_features(basis))
    title = "Refused, nothing was looked at" if decision["outcome"] == "error" else "Answer"
    print_answer(console, title, _as_answered(decision))
    stages = ", ".join(f"{stage} {milliseconds:g}" for stage, milliseconds in basis.get("timings", {}).items())
    console.print(Text(f"Milliseconds: {stages}", style="dim"))
    for held in decision["held_back"]:
        by = f" By {held['by']}, since {held['since']}." if held["by"] else ""
        sentence = f"{held['check']}: {held['text']}{by} It would be shown again: {held['lets_through']}"
        console.print(Text(f"Held back, {held['subject']} ({held['reason']}). {sentence}"))
    for line in decision["history"]:
        console.print(Text(line))
    for item in decision["feedback"]:
        if item["user_comment"]:
            console.print(Text(f"In their own words: {item['user_comment']}"))


def _as_answered(decision: dict[str, Any]) -> dict[str, Any]:
    """Return the cards as they were sent; every reason for silence that was recorded, whether it was sent or not."""
    ours = {"silence": decision["silence"]}
    return {"cards": decision["response"].get("cards"), "extension": {EXTENSION_KEY: ours}}


def _features(basis: dict[str, Any]) -> Table | str:
    """Return what the decision was computed from, each value with its date, its resource and what it contributed."""
    contributions = (basis.get("scores") or {}).get("contributions") or {}
    table = _table("input", "value", "contribution" if contributions else "", "dated", "from")
    for name, (value, effective, source) in basis.get("features", {}).items():
        contribution = f"{contributions[name]:+.4f}" if name in contributions else ""
        table.add_row(name, f"{value:g}", contribution, effective[:10], source)
    for name, reason in basis.get("missing", {}).items():
        table.add_row(name, Text("missing", style="dim"), "", "", Text(reason, style="dim"))
    return table if table.row_count else ""
