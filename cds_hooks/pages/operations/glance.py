"""The top of the page of operations: whether all is well, who called when, and what waits for a person.

Nothing here says "none" unless it was counted; what is not known is its own mark.
"""

from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from time import time
from typing import Final, Literal

from msgspec import Struct

from cards.dated import ending
from cds_hooks.monitor.book import CountBook
from cds_hooks.pages.count_keeper import Counted
from cds_hooks.pages.models.views import standing_of
from cds_hooks.pages.server import PageServer
from cds_hooks.routes.health import models_out
from cds_hooks.trusted_models import AbsentModel
from cds_hooks.web.numbers import format_time
from models_onnx.monitoring.figure import Figure, incidents

Health = Literal["healthy", "degraded", "unknown"]

SIGNS: Final[dict[Health, str]] = {"healthy": "good", "degraded": "critical", "unknown": "none"}
_STARTED: Final = time()
_HOUR: Final = timedelta(hours=1)
_NOT_APPROVED: Final = ("rule that is not approved here", "rules that are not approved here")
_HALF_SIGNED: Final = ("act that waits for a second signature", "acts that wait for a second signature")
_SILENT_MODELS: Final = ("model that may show no cards", "models that may show no cards")
_VERIFIED_DAYS: Final = 7
"""A record that nobody has verified for so long waits for a person."""


class Task(Struct, frozen=True):
    """Something that waits for a person, its mark, and the page where it is done."""

    what: str
    sign: str
    link: str


class Caller(Struct, frozen=True):
    """One client: when it called last, and how often in the last hour."""

    name: str
    last: str
    calls: int


class Glance(Struct, frozen=True):
    """The strip: the health with its reasons, the server, who called, and what waits."""

    health: Health
    reasons: tuple[str, ...]
    version: str
    since: str
    callers: tuple[Caller, ...]
    tasks: tuple[Task, ...]
    contact: str

    @property
    def sign(self) -> tuple[str, str]:
        """The mark and the word of the health."""
        return SIGNS[self.health], self.health

    @property
    def calls(self) -> int:
        """The calls of the last hour, by all clients."""
        return sum(caller.calls for caller in self.callers)


def look(server: PageServer, book: CountBook, counted: Counted, figures: list[Figure] | None) -> Glance:
    """Return the strip; `figures` are None while they are being worked out.

    Raises:
        RecordUnavailable: the book cannot be read.
    """
    now = datetime.now(UTC)
    out = [f"The model {row['model']} cannot be served: {row['reason']}." for row in models_out(server.services)]
    verified = book.last_verification()
    broken = [f"The record is not as it was written: {verified.fault}."] if verified and verified.fault else []
    urgent = incidents(figures) if figures is not None else []
    unknown = [
        text for text in (counted.note, "" if figures is not None else "Incidents are being worked out.") if text
    ]
    reasons = [*broken, *out, *(incident.text for incident in urgent)]
    health: Health = "degraded" if reasons else "unknown" if unknown else "healthy"
    callers = book.callers(int((now - _HOUR).timestamp() * 1e6))
    return Glance(
        health,
        tuple(reasons or unknown),
        version("cds-hooks-onnx"),
        format_time(datetime.fromtimestamp(_STARTED, UTC)),
        tuple(
            Caller(name, format_time(datetime.fromtimestamp(last / 1e6, UTC)) if last else "never", calls)
            for name, (last, calls) in sorted(callers.items())
        ),
        (*_tasks_of_incidents(len(urgent)), *tasks_of(server, book, now)),
        server.settings.contact,
    )


def _tasks_of_incidents(count: int) -> list[Task]:
    return [_task(count, "ops#incidents", "critical", ("incident", "incidents"))] if count else []


def tasks_of(server: PageServer, book: CountBook, now: datetime) -> list[Task]:
    """Return what waits for a person, but for incidents.

    Raises:
        RecordUnavailable: the book cannot be read.
    """
    components, tasks = server.components, []
    counts = components.governance.approval_counts()
    if counts is not None:
        tasks.append(_task(counts["not_approved"], "rules?kind=waiting", "warning", _NOT_APPROVED))
    acts = len(components.releases.waiting_for_second())
    tasks.append(_task(acts, "rules#waiting", "warning", _HALF_SIGNED))
    models = (model for service in server.services.values() for model in service.models)
    manifests = {model.manifest.id: model.manifest for model in models if not isinstance(model, AbsentModel)}
    standings = [standing_of(server, name, manifest) for name, manifest in manifests.items()]
    silent = sum(standing is None or standing.now.state in ("waiting", "refused") for standing in standings)
    tasks.append(_task(silent, "models", "warning", _SILENT_MODELS))
    verified = book.last_verification()
    if verified is None:
        tasks.append(Task("The record was never verified on this machine.", "warning", "ops#record"))
    elif now.timestamp() - verified.at > _VERIFIED_DAYS * 86_400:
        days = int((now.timestamp() - verified.at) // 86_400)
        tasks.append(Task(f"The record was last verified {days} days ago.", "warning", "ops#record"))
    today = (server.settings.as_of or now).date()
    tasks.extend(Task(table.sentence(today), "warning", "rules/checks") for table in ending(today))
    return [task for task in tasks if task.what]


def _task(count: int, link: str, sign: str, words: tuple[str, str]) -> Task:
    """Return the task of so many things, with the words for one and for several; without words where there is none."""
    return Task(f"{count:,} {words[count != 1]}" if count else "", sign, link)
