"""The feeds of events as /ops shows them, and dead letters to look at, mend, take in again or drop."""

from contextlib import closing
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query
from pydantic import BaseModel, Field
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.add_ons.events.declaration import Declaration, read_declaration
from cds_hooks.add_ons.events.inbox import DeadLetter, Inbox, counts_since, feed_states
from cds_hooks.add_ons.events.outbox import queues, receiver_states, resend_given_up
from cds_hooks.add_ons.events.rescoring import replay_letter
from cds_hooks.add_ons.events.watch.running import (
    EXPECTED,
    FIRST_CHECKS,
    REPLAYED_FOR,
    accept,
    stored_incidents,
)
from cds_hooks.call.services import every_service
from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.people.pages.server import PageServer, posted
from cds_hooks.people.web.numbers import format_epoch
from cds_hooks.people.web.site import HEADERS, Failure, PageRefusal

_SHOWN: Final = 30
_NOT_SHOWN: Final = ("latency:", "state:", "value:", "result:", "expected")
"""What the watch counts for itself: steps of histograms, states that stand in columns of their own."""
_DAY_SECONDS: Final = 86_400
_STEP_SECONDS: Final = 300
DONE: Final = {
    "replay": "The message was taken in.",
    "drop": "The message was dropped.",
    "accept": "The change counts as usual from now on. Its feeds are learned anew, which takes two weeks.",
    "resend": "The events that were given up are sent again.",
    "replay-all": "The dead letters that can be read now were taken in.",
    "unmerge": "The merge was undone. What came under the number belongs to it again.",
}
"""What /ops says after an act, by its word in the address."""
_NO_FEEDS: Final = Failure(
    "This server reads no feeds",
    "CDS_EVENTS_FILE names no file that declares them, so there are no messages, dead letters or incidents to show.",
    "Declare the feeds in a file and set CDS_EVENTS_FILE; feeds from a broker also need the extra "
    "cds-hooks-onnx[brokers] (docs/operations/events.md).",
)
Number = Annotated[int, Field(ge=0, lt=10**11)]


class FeedAct(BaseModel):
    """What a person decided about a dead letter, an incident, a feed or a merged patient number."""

    act: Literal["accept", "resend", "replay-all", "replay", "drop", "unmerge"]
    letter: Number = 0
    incident: int = 0
    feed: str = ""
    content: str = ""
    patient: str = ""


class Feeds:
    """The feeds that a site declares."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._url = server.settings.database_url

    def values(self, did: str) -> dict[str, Any]:
        """Return what /ops shows of the feeds, nothing of a patient; `did` is the act that was done just now."""
        declaration, now = self._declaration(), self._server.now().timestamp()
        shown: dict[str, Any] = {"did": DONE.get(did, "")}
        if not declaration.file.is_file():
            return shown | dict.fromkeys(("feeds", "incidents", "letters", "queues", "receivers"), ())
        with closing(Inbox(declaration.file)) as inbox:
            letters = inbox.dead_letters()
            receivers = receiver_states(inbox, declaration.webhook)
            return shown | {
                "queues": queues(inbox, declaration),
                "receivers": [state for state in receivers if state.given_up],
                "feeds": [(state, *_counted(inbox, state.feed, now)) for state in feed_states(inbox, declaration.feed)],
                "incidents": _incidents(inbox, {letter.source for letter in letters}),
                "letters": letters,
            }

    def _declaration(self) -> Declaration:
        path = self._server.settings.events_file
        if path is None:
            raise PageRefusal(_NO_FEEDS)
        return read_declaration(path, every_service(self._server.services))

    def show(self, letter: Annotated[Number, Query()] = 0) -> Response:
        """Show a dead letter whole, to be mended."""
        declaration = self._declaration()
        if not letter:
            return Response(status_code=303, headers=HEADERS | {"location": "../ops#interfaces"})
        return self._letter(_letter_of(declaration, letter))

    def _letter(self, letter: DeadLetter, problem: str = "") -> Response:
        content = letter.content.replace(b"\r", b"\n").decode("utf-8", "replace")
        status = 400 if problem else 200
        return self._server.page("operations/letter.html", status=status, it=letter, content=content, problem=problem)

    def act(self, form: Annotated[FeedAct, Depends(posted(FeedAct))]) -> Response:
        """Do what a person decided about a dead letter, an incident, a feed or a merged patient number."""
        declaration = self._declaration()
        match form.act:
            case "replay":
                letter = _letter_of(declaration, form.letter)
                if reason := self._replay(declaration, letter, form.content):
                    return self._letter(letter, reason)
            case "drop":
                letter = _letter_of(declaration, form.letter)
                with closing(Inbox(declaration.file)) as inbox:
                    inbox.settle(letter.sequence, "dropped")
            case "resend":
                if form.feed not in declaration.webhook:
                    raise _not_there("receiver", "The site does not declare it.")
                with closing(Inbox(declaration.file)) as inbox:
                    resend_given_up(inbox, form.feed)
            case "unmerge":
                with closing(Inbox(declaration.file, tuple(declaration.effect.values()))) as inbox:
                    if not inbox.unmerge(form.patient.strip(), self._server.now().timestamp()):
                        raise _not_there("merge", "The number is not merged into another one.")
            case "accept":
                with closing(Inbox(declaration.file)) as inbox:
                    incidents = {incident.number: incident for incident in stored_incidents(inbox)}
                    incident = incidents.get(form.incident)
                    if incident is None or incident.closed is not None:
                        raise _not_there("open incident", "It is over.")
                    what = {"act": "accept", "feed": incident.feeds[0], "incident": [incident.number, incident.opened]}
                    add_event(self._url, "interface-act", self._server.actor, what)
                    accept(inbox, incident.number)
            case _ if form.feed not in declaration.feed:
                raise _not_there("feed", "The site does not declare it.")
            case "replay-all":
                with closing(Inbox(declaration.file)) as inbox:
                    letters = [letter for letter in inbox.dead_letters() if letter.source == form.feed]
                for letter in letters:  # those that still cannot be read stay
                    self._replay(declaration, letter, "")
        return Response(status_code=303, headers=HEADERS | {"location": f"../ops?did={form.act}#interfaces"})

    def _replay(self, declaration: Declaration, letter: DeadLetter, content: str) -> str:
        lines = content.replace("\r\n", "\r").replace("\n", "\r")
        mended = lines.encode() if content else letter.content
        return replay_letter(declaration, self._server.settings, letter, mended, self._server.now().timestamp())


def _letter_of(declaration: Declaration, number: int) -> DeadLetter:
    with closing(Inbox(declaration.file)) as inbox:
        letter = inbox.dead_letter(number)
    if letter is None:
        raise _not_there("dead letter", "It was settled before.")
    return letter


def _not_there(what: str, why: str) -> PageRefusal:
    text = "Nothing was changed. Open the page again."
    return PageRefusal(Failure(f"There is no such {what}", why, text))


def _counted(inbox: Inbox, feed: str, now: float) -> tuple[int, str, dict[str, int]]:
    """Return the messages of the last day, with what was expected in words, and what else was counted."""
    counts = counts_since(inbox, feed, now - _DAY_SECONDS)
    shown = {name: int(count) for name, count in sorted(counts.items()) if not name.startswith(_NOT_SHOWN)}
    came, expected = shown.pop("messages", 0), counts.get(EXPECTED, 0.0)
    state = f"{expected:,.0f} were expected since it is watched" if expected else "not learned yet"
    return came, f"{came:,.0f} messages, {state}", shown


def _incidents(inbox: Inbox, with_letters: set[str]) -> list[dict[str, Any]]:
    """Return the open incidents and those that closed last, the newest first, with what a person may do."""
    incidents = sorted(stored_incidents(inbox), key=lambda incident: (incident.closed is None, incident.opened))
    return [
        {
            "it": incident,
            "opened": format_epoch((incident.opened + 1) * _STEP_SECONDS),
            "closed": format_epoch((incident.closed + 1) * _STEP_SECONDS) if incident.closed is not None else "",
            "check": FIRST_CHECKS[incident.kind],
            "replay": [name for name in incident.feeds if name in with_letters and incident.kind in REPLAYED_FOR],
        }
        for incident in reversed(incidents[-_SHOWN:])
    ]


def routes(server: PageServer) -> list[Route]:
    """Return the address of dead letters and of what is done about feeds."""
    page = Feeds(server)
    return [server.route("/ops/interfaces", page.show), server.route("/ops/interfaces", page.act, ["POST"])]
