"""Shows the feeds of events with what was counted of them, and dead letters to look at, mend, take in again or drop."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.pages.server import PageServer
from cds_hooks.web.numbers import format_time
from cds_hooks.web.site import HEADERS, Failure, Refusal
from models_onnx.model_card.plots import Axes, Line, Plot, Tick

if TYPE_CHECKING:
    from cds_hooks.events.declaration import Declaration
    from cds_hooks.events.inbox import DeadLetter, Inbox
    from cds_hooks.events.watch.acts import Acts

_SHOWN = 30
_DONE = {
    "replayed": "The message was taken in.",
    "dropped": "The message was dropped.",
    "accept": "The incident is taken as usual from now on. Its feeds are learned anew, which takes two weeks.",
    "pause": "The feed is paused. Its sender keeps its messages.",
    "resume": "The feed is taken in again.",
    "replay-all": "The dead letters that can be read now were taken in.",
}
_NEXT = "Nothing was changed. Open the page again."


class _Interfaces:
    def __init__(self, server: PageServer) -> None:
        self._server = server

    def _declaration(self) -> "Declaration | None":
        """Return what the site declares; None where it declares no feeds, and then nothing of feeds is imported."""
        path = self._server.settings.events_file
        if path is None:
            return None
        from cds_hooks.events.declaration import read_declaration

        return read_declaration(path, self._server.services)

    def show(self, request: Request) -> Response:
        """Show the feeds and the dead letters; `letter` is the number of one to be shown whole."""
        number = request.query_params.get("letter", "")
        return self._page(number, request.query_params.get("did", ""))

    def _page(self, number: str = "", did: str = "", problem: str = "", status: int = 200) -> Response:
        declaration = self._declaration()
        feeds: list[dict[str, Any]] = []
        acts = self._acts() if declaration is not None else None
        letters: list[DeadLetter] = []
        letter = None
        incidents: list[dict[str, Any]] = []
        now = self._server.now()
        if declaration is not None and declaration.file.is_file():
            with closing(_opened(declaration)) as inbox:
                feeds = _feeds(inbox, declaration, now.timestamp())
                letters = inbox.dead_letters()
                incidents = _incidents(inbox, declaration, {letter.source for letter in letters})
                letter = inbox.dead_letter(int(number)) if number.isdecimal() and len(number) < 12 else None
        return self._server.page(
            "operations/interfaces.html",
            status=status,
            declared=declaration is not None,
            feeds=feeds,
            incidents=incidents,
            letters=[(one_letter, _moment(one_letter.received_at)) for one_letter in letters],
            letter=letter,
            content=letter.content.replace(b"\r", b"\n").decode("utf-8", "replace") if letter is not None else "",
            paused=[name for name in acts.pauses if acts.is_paused(name)] if acts is not None else [],
            did=_DONE.get(did, ""),
            problem=problem,
            now=format_time(now),
        )

    def act(self, request: Request) -> Response:
        """Do what a person decided about a dead letter, an incident or a feed."""
        fields, declaration = request.state.form, self._declaration()
        number, act = fields.get("letter", ""), fields.get("act", "")
        if declaration is not None and act in ("accept", "pause", "resume", "replay-all"):
            return self._act_on_feed(declaration, act, fields.get("feed", ""), fields.get("incident", ""))
        if declaration is None or not number.isdecimal() or len(number) > 11 or act not in ("replay", "drop"):
            raise Refusal(Failure("The form cannot be used", "Refused", "It names no dead letter.", _NEXT), 400)
        with closing(_opened(declaration)) as inbox:
            letter = inbox.dead_letter(int(number))
            if letter is None:
                raise Refusal(Failure("There is no such dead letter", "Refused", "It was settled before.", _NEXT), 404)
            if act == "drop":
                inbox.settle(letter.sequence, "dropped")
                return _sent_on("dropped")
        reason = self._replay(declaration, letter, fields.get("content", ""))
        return self._page(number, problem=reason, status=400) if reason else _sent_on("replayed")

    def _acts(self) -> "Acts":
        from cds_hooks.events.watch.acts import Acts

        acts = Acts(self._server.settings.database_url)
        acts.refresh()
        return acts

    def _act_on_feed(self, declaration: "Declaration", act: str, feed: str, number: str) -> Response:
        from cds_hooks.events.watch.acts import record_act
        from cds_hooks.events.watch.running import stored_incidents

        url, actor = self._server.settings.database_url, self._server.actor
        if act == "accept":
            with closing(_opened(declaration)) as inbox:
                incidents = [incident for incident in stored_incidents(inbox) if str(incident.number) == number]
            if not incidents or incidents[0].closed is not None:
                raise Refusal(Failure("There is no such open incident", "Refused", "It is over.", _NEXT), 404)
            record_act(url, actor, act, incidents[0].feeds[0], (incidents[0].number, incidents[0].opened))
        elif feed not in declaration.feed:
            raise Refusal(Failure("There is no such feed", "Refused", "The site does not declare it.", _NEXT), 404)
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


def _sent_on(did: str) -> Response:
    return Response(status_code=303, headers=HEADERS | {"location": f"interfaces?did={did}"})


def _feeds(inbox: "Inbox", declaration: "Declaration", now: float) -> list[dict[str, Any]]:
    from cds_hooks.events.inbox import counts_since, feed_states

    feeds = []
    for state in feed_states(inbox, declaration.feed):
        counts = counts_since(inbox, state.feed, now - 86_400)
        shown = {
            name: int(count) for name, count in sorted(counts.items()) if not name.startswith(("latency:", "state:"))
        }
        messages = shown.pop("messages", 0)
        newest = _moment(state.newest) if state.newest else "never"
        plot = _plot(inbox, state.feed, now)
        feeds.append(
            {"name": state.feed, "newest": newest, "messages": messages, "dead": state.dead, "counts": shown} | plot
        )
    return feeds


def _plot(inbox: "Inbox", feed: str, now: float) -> dict[str, Any]:
    """Return the messages of the last day by the quarter of an hour as a plot, with what was expected."""
    from cds_hooks.events.watch.running import rates

    rate = rates(inbox, feed, now)
    words = f"{sum(rate.came):,.0f} messages, "
    if rate.expected is None:
        words += "not learned yet"
    else:
        words += f"{rate.compared:,.0f} where {sum(rate.expected):,.0f} were expected"
    axes = Axes(0.0, 24.0, 0.0, max([*rate.came, *(rate.expected or ()), 1.0]))
    lines = [Line("curve", _over_a_day(axes, rate.came), "came")]
    if rate.expected is not None:
        lines.insert(0, Line("other", _over_a_day(axes, rate.expected), "expected"))
    hours = tuple(Tick(axes.x(24 - ago), f"−{ago} h" if ago else "now") for ago in (24, 12, 0))
    rows = tuple((f"{hour} to {hour + 1} h", f"{_of_hour(rate.came, hour):,.0f}") for hour in range(24))
    header = ("hours since a day ago", "messages")
    title = f"{feed}, the last 24 hours"
    plot = Plot(f"feed-{feed}", title, "time", "messages", hours, axes.y_ticks(), tuple(lines), (), words, header, rows)
    return {"words": words, "plot": plot}


def _over_a_day(axes: Axes, counts: Sequence[float]) -> str:
    return axes.points((24 * index / max(len(counts) - 1, 1), count) for index, count in enumerate(counts))


def _of_hour(counts: Sequence[float], hour: int) -> float:
    return sum(counts[len(counts) * hour // 24 : len(counts) * (hour + 1) // 24])


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
    """Return the addresses of the page."""
    page = _Interfaces(server)
    return [server.route("/ops/interfaces", page.show), server.route("/ops/interfaces", page.act, ["POST"])]
