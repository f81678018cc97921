"""Calls that are answered in process and recorded, and then answered again from what the record has of them."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from cds_hooks.call.answer import invoke
from cds_hooks.call.hold_back.restraint import Restraint
from cds_hooks.call.stages import open_call
from cds_hooks.errors import HookError
from cds_hooks.evidence.replay.replaying import Replayer, Verdict
from cds_hooks.evidence.replay.site import ReplaySite, open_site
from cds_hooks.evidence.storage.decision import Decision, new_decision_id
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.evidence.storage.queries import get_decisions
from cds_hooks.samples import list_samples, load_draft, load_patient
from cds_hooks.settings import Settings
from cds_hooks.tools.kit.simulator.chart import Chart, ChartError, resources_of
from cds_hooks.tools.kit.simulator.request import build_request, drafts_for

Json = dict[str, Any]
DRAFT: Final = "naproxen-after-icu"


@cache
def site() -> ReplaySite:
    """The site of a server without files of its own; it is opened once."""
    return open_site(Settings())


def calls_about(chart: Chart, drafts: Iterable[Json], service: str | None = None) -> Iterator[tuple[str, Json]]:
    """The calls of every service, or of one, about this chart; without those for which it has nothing."""
    ordered = drafts_for(chart, list(drafts))
    for one in site().services.values():
        for entry in one.discovery() if service in (None, one.id) else ():
            try:
                yield one.id, build_request(entry, chart, ordered)
            except ChartError:
                continue


def sample_calls(service: str, now: datetime, every: int = 1) -> Iterator[tuple[str, Json]]:
    """The calls of one service about every sample patient, or every n-th, with the orders of their stories."""
    for sample in list_samples()[::every]:
        names = [order.draft for order in sample.orders[:2]] or [DRAFT]
        drafts = [each for name in names for each in resources_of(load_draft(name, now))]
        yield from calls_about(Chart(resources_of(load_patient(sample.id, now))), drafts, service)


def answered(
    url: str, calls: Iterable[tuple[str, Json | bytes]], as_of: datetime | None, **settings: Any
) -> list[Decision]:
    """The decisions of these calls, committed to the record; without those that were refused, and None: now."""
    return asyncio.run(_answered(url, list(calls), as_of, settings))


async def _answered(
    url: str, calls: list[tuple[str, Json | bytes]], as_of: datetime | None, settings: Json
) -> list[Decision]:
    log = open_decision_log(url)
    restraint = Restraint(None, needs_approval=False)
    configured = Settings(as_of=as_of, **settings)
    parts = replace(site().components, settings=configured, decisions=log, restraint=restraint)
    (client,) = site().clients.values()
    answers: list[str] = []
    for service, request in calls:
        try:
            answers.append(new_decision_id())
            body = request if isinstance(request, bytes) else json.dumps(request).encode()  # orjson: 64 bits
            call = open_call(site().services[service], client, parts, answers[-1])
            await invoke(call, body)
        except HookError:
            answers.pop()
    await log.close()
    return list(get_decisions(url, answers).values())


def record_at(folder: Path) -> str:
    """The address of a record in this folder."""
    return f"sqlite:///{folder / 'decisions.sqlite3'}"


def verdicts(url: str, decisions: Iterable[Decision]) -> list[Verdict]:
    """What a replay of these decisions comes to."""
    return list(Replayer(site(), url).verdicts(decisions))


def not_the_same(found: Iterable[Verdict]) -> list[Any]:
    """Of the verdicts those that are not "same, from the facts", as what should be said of them."""
    return [
        (each.service, each.outcome, each.because, [one.words for one in each.differences])
        for each in found
        if each.outcome != "same"
    ]
