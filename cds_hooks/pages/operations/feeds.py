"""The feeds of events as /ops shows them, and dead letters to look at, mend, take in again or drop."""

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Depends, Query
from pydantic import BaseModel, Field
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.pages.server import PageServer, posted
from cds_hooks.web.numbers import format_time
from cds_hooks.web.site import HEADERS, Failure, PageRefusal

if TYPE_CHECKING:
    from cds_hooks.events.declaration import Declaration
    from cds_hooks.events.inbox import DeadLetter, Inbox

_SHOWN = 30
_NOT_SHOWN = ("latency:", "state:", "value:", "result:", "expected")
"""What the watch counts for itself: steps of histograms, states that stand in columns of their own."""
DONE = {
    "replayed": "The message was taken in.",
    "dropped": "The message was dropped.",
    "accept": "The incident is taken as usual from now on. Its feeds are learned anew, which takes two weeks.",
    "pause": "The feed is paused. Its sender keeps its messages.",
    "resume": "The feed is taken in again.",
    "resend": "The events that were given up are sent again.",
    "replay-all": "The dead letters that can be read now were taken in.",
}
"""What /ops says after an act, by its word in the address."""
_NEXT = "Nothing was changed. Open the page again."
_NO_LETTER = Failure("There is no such dead letter", "Refused", "It was settled before.", _NEXT)


class FeedAct(BaseModel):
    """What a person decided about a dead letter, an incident or a feed."""

    act: Literal["accept", "pause", "resume", "resend", "replay-all", "replay", "drop"]
    letter: Annotated[int, Field(ge=0, lt=10**11)] = 0
    incident: int = 0
    feed: str = ""
    content: str = ""


class Feeds:
    """The feeds of one server."""

    def __init__(self, server: PageServer) -> None:
        self._server = server

    def _declaration(self) -> "Declaration | None":
        """Return what the site declares; None where it declares no feeds, and then nothing of feeds is imported."""
        path = self._server.settings.events_file
        if path is None:
            return None
        from cds_hooks.events.declaration import read_declaration

        return read_declaration(path, self._server.services)

    def values(self) -> dict[str, Any] | None:
        """Return what /ops shows of the feeds, nothing of a patient; None where the site declares none.

        Raises:
            RecordUnavailable: the record, from which pauses are read, cannot be read.
        """
        declaration = self._declaration()
        if declaration is None:
            return None
        from cds_hooks.events.watch.acts import Acts

        acts = Acts(self._server.settings.database_url)
        acts.refresh()
        shown: dict[str, Any] = {"paused": [name for name in acts.pauses if acts.is_paused(name)]}
        if not declaration.file.is_file():
            return shown | {"feeds": [], "incidents": [], "letters": [], "queues": [], "receivers": []}
        from cds_hooks.events.outbox import queues, receiver_states, receivers_of

        with closing(_opened(declaration)) as inbox:
            letters = inbox.dead_letters()
            return shown | {
                "queues": [
                    (queue.name, queue.waiting, _moment(queue.oldest) if queue.oldest else "")
                    for queue in queues(inbox, declaration)
                ],
                "receivers": [
                    (state.receiver, state.given_up)
                    for state in receiver_states(inbox, receivers_of(declaration))
                    if state.given_up
                ],
                "feeds": _feeds(inbox, declaration, self._server.now().timestamp()),
                "incidents": _incidents(inbox, declaration, {letter.source for letter in letters}),
                "letters": [(letter, _moment(letter.received_at)) for letter in letters],
            }

    def _declared(self) -> "Declaration":
        if (declaration := self._declaration()) is None:
            raise PageRefusal(_NO_LETTER)
        return declaration

    def show(self, letter: Annotated[int, Query(ge=0, lt=10**11)] = 0) -> Response:
        """Show a dead letter whole, to be mended."""
        if not letter:
            return Response(status_code=303, headers=HEADERS | {"location": "../ops#interfaces"})
        return self._letter(_letter_of(self._declared(), letter))

    def _letter(self, letter: "DeadLetter", problem: str = "") -> Response:
        content = letter.content.replace(b"\r", b"\n").decode("utf-8", "replace")
        status = 400 if problem else 200
        return self._server.page("operations/letter.html", status=status, it=letter, content=content, problem=problem)

    def act(self, form: Annotated[FeedAct, Depends(posted(FeedAct))]) -> Response:
        """Do what a person decided about a dead letter, an incident or a feed."""
        declaration = self._declared()
        if form.act == "resend":
            return self._resend(declaration, form.feed)
        if form.act not in ("replay", "drop"):
            return self._act_on_feed(declaration, form)
        letter = _letter_of(declaration, form.letter)
        if form.act == "drop":
            with closing(_opened(declaration)) as inbox:
                inbox.settle(letter.sequence, "dropped")
            return _sent_on("dropped")
        reason = self._replay(declaration, letter, form.content)
        return self._letter(letter, reason) if reason else _sent_on("replayed")

    def _resend(self, declaration: "Declaration", receiver: str) -> Response:
        from cds_hooks.events.outbox import receivers_of, resend_given_up

        if receiver not in receivers_of(declaration):
            raise PageRefusal(
                Failure("There is no such receiver", "Refused", "The site does not declare it.", _NEXT), 404
            )
        with closing(_opened(declaration)) as inbox:
            resend_given_up(inbox, receiver)
        return _sent_on("resend")

    def _act_on_feed(self, declaration: "Declaration", form: FeedAct) -> Response:
        from cds_hooks.events.watch.acts import record_act
        from cds_hooks.events.watch.running import stored_incidents

        url, actor, act, feed = self._server.settings.database_url, self._server.actor, form.act, form.feed
        if act == "accept":
            with closing(_opened(declaration)) as inbox:
                incidents = [incident for incident in stored_incidents(inbox) if incident.number == form.incident]
            if not incidents or incidents[0].closed is not None:
                raise PageRefusal(Failure("There is no such open incident", "Refused", "It is over.", _NEXT), 404)
            record_act(url, actor, act, incidents[0].feeds[0], (incidents[0].number, incidents[0].opened))
        elif feed not in declaration.feed:
            raise PageRefusal(Failure("There is no such feed", "Refused", "The site does not declare it.", _NEXT), 404)
        elif act == "replay-all":
            self._replay_all(declaration, feed)
        else:
            record_act(url, actor, act, feed)
        return _sent_on(act)

    def _replay_all(self, declaration: "Declaration", feed: str) -> None:
        """Take in the dead letters of a feed that can be read now; the others stay."""
        with closing(_opened(declaration)) as inbox:
            letters = [letter for letter in inbox.dead_letters() if letter.source == feed]
        for letter in letters:
            self._replay(declaration, letter, "")

    def _replay(self, declaration: "Declaration", letter: "DeadLetter", content: str) -> str:
        from cds_hooks.events.declaration import V2Feed
        from cds_hooks.events.replaying import replay_letter

        feed = declaration.feed.get(letter.source)
        if not isinstance(feed, V2Feed):
            return "Only messages of HL7 v2 feeds can be taken in again."
        lines = content.replace("\r\n", "\r").replace("\n", "\r")
        mended = lines.encode() if content else letter.content
        now = self._server.now().timestamp()
        return replay_letter(declaration, self._server.settings, feed, letter, mended, now)


def _opened(declaration: "Declaration") -> "Inbox":
    from cds_hooks.events.inbox import Inbox

    return Inbox(declaration.file)


def _letter_of(declaration: "Declaration", number: int) -> "DeadLetter":
    with closing(_opened(declaration)) as inbox:
        letter = inbox.dead_letter(number)
    if letter is None:
        raise PageRefusal(_NO_LETTER, 404)
    return letter


def _sent_on(did: str) -> Response:
    return Response(status_code=303, headers=HEADERS | {"location": f"../ops?did={did}#interfaces"})


def _feeds(inbox: "Inbox", declaration: "Declaration", now: float) -> list[dict[str, Any]]:
    from cds_hooks.events.inbox import counts_since, feed_states

    feeds = []
    for state in feed_states(inbox, declaration.feed):
        counts = counts_since(inbox, state.feed, now - 86_400)
        shown = {name: int(count) for name, count in sorted(counts.items()) if not name.startswith(_NOT_SHOWN)}
        messages = shown.pop("messages", 0)
        newest = _moment(state.newest) if state.newest else "never"
        feeds.append(
            {"name": state.feed, "newest": newest, "messages": messages, "dead": state.dead, "counts": shown}
            | {"words": _rate(inbox, state.feed, now)}
        )
    return feeds


def _rate(inbox: "Inbox", feed: str, now: float) -> str:
    """Return the messages of the last day with what was expected, in words."""
    from cds_hooks.events.watch.running import came_and_expected

    came, compared, expected = came_and_expected(inbox, feed, now)
    state = f"{compared:,.0f} where {expected:,.0f} were expected" if expected else "not learned yet"
    return f"{came:,.0f} messages, {state}"


def _incidents(inbox: "Inbox", declaration: "Declaration", with_letters: set[str]) -> list[dict[str, Any]]:
    """Return the open incidents and those that closed last, the newest first, with what a person may do."""
    from cds_hooks.events.watch.guidance import FIRST_CHECKS, PAUSED_FOR, REPLAYED_FOR
    from cds_hooks.events.watch.running import stored_incidents

    incidents = sorted(stored_incidents(inbox), key=lambda incident: (incident.closed is None, incident.opened))
    return [
        {
            "number": incident.number,
            "cause": incident.cause,
            "severity": incident.severity,
            "opened": _moment((incident.opened + 1) * 300.0),
            "closed": _moment((incident.closed + 1) * 300.0) if incident.closed is not None else "",
            "effects": ", ".join(incident.effects),
            "check": FIRST_CHECKS[incident.kind],
            "pause": [name for name in incident.feeds if name in declaration.feed and incident.kind in PAUSED_FOR],
            "replay": [name for name in incident.feeds if name in with_letters and incident.kind in REPLAYED_FOR],
            "is_accepted": incident.is_accepted,
        }
        for incident in reversed(incidents[-_SHOWN:])
    ]


def _moment(epoch: float) -> str:
    return format_time(datetime.fromtimestamp(epoch, UTC))


def routes(server: PageServer) -> list[Route]:
    """Return the address of dead letters and of what is done about feeds."""
    page = Feeds(server)
    return [server.route("/ops/interfaces", page.show), server.route("/ops/interfaces", page.act, ["POST"])]
