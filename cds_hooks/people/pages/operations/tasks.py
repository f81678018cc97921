"""What waits for a person: approvals, acts, models without cards, a record that nobody verified, old tables."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from cards.dated import ending
from cds_hooks.call.configuration import service_approval_counts
from cds_hooks.call.trusted_models import AbsentModel
from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.people.pages.models.views import standing_of
from cds_hooks.people.pages.server import PageServer

_NOT_APPROVED: Final = ("rule that is not approved here", "rules that are not approved here")
_HALF_SIGNED: Final = ("act that waits for a second person", "acts that wait for a second person")
_SILENT_SERVICES: Final = (
    "service of this site that shows no cards until its words are approved",
    "services of this site that show no cards until their words are approved",
)
_SILENT_MODELS: Final = ("model that may show no cards", "models that may show no cards")
_VERIFIED_DAYS: Final = 7
"""A record that nobody has verified for so long waits for a person."""


class Task(Struct, frozen=True):
    """Something that waits for a person, and the page where it is done."""

    what: str
    link: str


def tasks_of(server: PageServer, book: CountBook, now: datetime) -> list[Task]:
    """Return what waits for a person, but for incidents.

    Raises:
        RecordUnavailable: the book cannot be read.
    """
    components, tasks = server.components, []
    counts = components.restraint.approval_counts()
    if counts is not None:
        tasks.append(_task(counts["not_approved"], "rules?kind=waiting", _NOT_APPROVED))
    if declared := service_approval_counts(server.services, components.restraint):
        tasks.append(_task(declared["not_approved"], "rules#declared", _SILENT_SERVICES))
    acts = len(components.releases.waiting_for_second())
    tasks.append(_task(acts, "rules#waiting", _HALF_SIGNED))
    models = (model for service in server.services.values() for model in service.models)
    manifests = {model.manifest.id: model.manifest for model in models if not isinstance(model, AbsentModel)}
    standings = [standing_of(server, name, manifest) for name, manifest in manifests.items()]
    silent = sum(standing is None or standing.now.state in ("waiting", "refused") for standing in standings)
    tasks.append(_task(silent, "models", _SILENT_MODELS))
    verified = book.last_verification()
    if verified is None:
        tasks.append(Task("The record was never verified on this machine.", "ops#record"))
    elif now.timestamp() - verified.at > _VERIFIED_DAYS * 86_400:
        days = int((now.timestamp() - verified.at) // 86_400)
        tasks.append(Task(f"The record was last verified {days} days ago.", "ops#record"))
    today = (server.settings.as_of or now).date()
    tasks.extend(Task(table.sentence(today), "rules") for table in ending(today))
    return [task for task in tasks if task.what]


def _task(count: int, link: str, words: tuple[str, str]) -> Task:
    """Return the task of so many things, with the words for one and for several; without words where there is none."""
    return Task(f"{count:,} {words[count != 1]}" if count else "", link)
