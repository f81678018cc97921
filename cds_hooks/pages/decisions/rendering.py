"""What the operator's pages show: everything that their templates lay out, worked out before."""

from collections.abc import Mapping
from itertools import islice
from typing import Final

from cds_hooks.pages.count_keeper import Counted
from cds_hooks.pages.decisions.replay import Replay
from cds_hooks.pages.decisions.search import OUTCOMES, Asked, Listing, Row, rows_of
from cds_hooks.pages.decisions.timeline import timeline
from cds_hooks.pages.explain.explanation import explain
from cds_hooks.pages.model_files import ModelFiles, evidence_of
from cds_hooks.services import Service
from cds_hooks.storage.decision import Decision
from cds_hooks.storage.outcomes import outcomes_of
from cds_hooks.storage.queries import DecisionFilter, feedback_on, find_places
from cds_hooks.web.site import Site, render

_MOST_BESIDE: Final = 21


def decisions_page(
    site: Site, services: Mapping[str, Service], asked: Asked, found: Listing | None, counted: Counted | None
) -> str:
    """The search form and the decisions that were found; `found` is None where nothing was looked for."""
    return render(
        "decisions/decisions.html",
        site=site,
        root="",
        asked=asked,
        found=found,
        counted=counted,
        services=sorted(services),
        outcomes=OUTCOMES,
    )


def decision_page(
    site: Site, url: str, services: Mapping[str, Service], files: ModelFiles, decision: Decision, replay: Replay | None
) -> str:
    """One decision: what happened, what it rests on, what was not shown, and its replay where it was asked for.

    Raises:
        RecordUnavailable: the record cannot be read.
        msgspec.MsgspecError: the decision is recorded in another form.
    """
    service = services.get(decision.service)
    title = service.title if service is not None else decision.service
    return render(
        "decisions/decision.html",
        site=site,
        root="../",
        it=explain(decision, title, files.manifest, evidence_of),
        time=timeline(url, decision, feedback_on(url, decision.id), outcomes_of(url, decision.id)),
        beside=_beside(url, decision),
        replay=replay,
    )


def _beside(url: str, decision: Decision) -> tuple[Row, ...]:
    """The other decisions of the same call of a hook."""
    if not decision.hook_instance:
        return ()
    found = islice(
        find_places(url, DecisionFilter(hook_instance=decision.hook_instance), None, _MOST_BESIDE), _MOST_BESIDE
    )
    return rows_of(each for each in found if each.decision.id != decision.id)
