"""The advisors of published knowledge: each PlanDefinition of the folder that `CDS_KNOWLEDGE` names is one.

Nothing of this is imported in a server that names no folder. What a plan says of a patient is in `cards/knowledge`;
here it is given the resources of the call as the client sent them, and its outcomes become cards and silences.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from cards.card import Card, CardError, check_card
from cards.extension import EXTENSION_KEY, CardExtension, Fact, WorklistEntry
from cards.finding import Finding
from cards.knowledge.apply import SILENCES, Outcome, apply
from cards.knowledge.artifact import Artifact, Refused, check_folder
from cards.knowledge.folder import Fault
from cards.knowledge.measure import Gap, gaps_in_care
from cds_hooks.call.hold_back.released import KNOWLEDGE
from cds_hooks.call.prefetch.needs import SEARCHED, Needs
from cds_hooks.call.protocol.hooks import LIBRARY, PATIENT_VIEW
from cds_hooks.call.protocol.originals import OriginalOrders, entries_in
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput
from cds_hooks.telemetry.logs import log
from fhir.record.refusals import WhyNot

_NOT_ASKED_FOR: Final = frozenset({"Patient", "Medication"})
"""They come with every call, or with the orders that name them."""
_MOST_REFERENCES: Final = 12


def knowledge_advisors(folder: Path) -> Iterator[Advisor]:
    """Yield an advisor for each PlanDefinition of the folder that can be used; log each artifact that is refused."""
    artifacts, refused, faults = check_folder(folder)
    for item in refused:
        log().warning("knowledge-refused", service=item.id, count=len(item.faults), reason=_reason(item))
    for fault in faults:
        log().warning("knowledge-file-left-out", reason=_plain(str(fault)))
    for artifact in artifacts:
        if artifact.kind == "Measure":
            yield _advisor(artifact, (PATIENT_VIEW,), _count_gaps)
        hooks = tuple(hook for hook in artifact.hooks if hook in LIBRARY)
        if artifact.kind == "PlanDefinition" and hooks:
            yield _advisor(artifact, hooks, _find)


def _reason(refused: Refused) -> str:
    return _plain(str(min(refused.faults, default=Fault("", ""))))


def _plain(text: str) -> str:
    """Return what of a sentence the operational log takes."""
    return "".join(sign if sign.isalnum() or sign in " _.,:;/()*+-" else "-" for sign in text)[:120]


def _advisor(artifact: Artifact, hooks: tuple[str, ...], find: Callable[[Artifact, ServiceInput], Advice]) -> Advisor:
    requested = frozenset(artifact.reads) - _NOT_ASKED_FOR
    return Advisor(
        id=artifact.id,
        hooks=hooks,
        title=artifact.title,
        description=_description(artifact),
        usage_requirements="Needs read access to the resources of its prefetch templates.",
        needs=Needs.of(
            resources=(requested & SEARCHED) - {"Observation"},
            whole_history=requested & SEARCHED,
            newest_results="Observation" in requested,
        ),
        find=partial(find, artifact),
        returns_resources=frozenset(artifact.reads),
        warns_of_harm=False,
        knowledge=artifact.sha256,
    )


def _description(artifact: Artifact) -> str:
    text = " ".join(str(artifact.resource.get("description") or artifact.title).split())
    return text if len(text) <= 400 else text[:399].rstrip() + "…"


def _find(artifact: Artifact, call: ServiceInput) -> Advice:
    """Give the plan what the call brought; a card for each action whose conditions are true, else its silence."""
    drafts = _drafts(call)
    outcomes = apply(
        artifact,
        _resources(artifact, call),
        call.record.as_of.isoformat(timespec="milliseconds"),
        hook=call.request.hook,
        drafts=drafts,
        unknown=_unknown(artifact, call),
    )
    shown = msgspec.to_builtins([replace(outcome, card=None) for outcome in outcomes])
    advice = Advice(scores={"knowledge": _reference(artifact), "outcomes": shown})
    if drafts:
        advice.orders = {"drafts": Raw(bytes(call.request.context.draft_orders)), "judged": None}  # type: ignore[attr-defined]
    for index, outcome in enumerate(outcomes):
        if outcome.card is None:
            advice.silences.append(WhyNot(artifact.id, SILENCES[outcome.state], f"{outcome.action}: {outcome.reason}"))
            continue
        try:
            advice.cards.append(_card(artifact, call, outcome, outcome.card, index))
        except CardError as error:
            text = f"{outcome.action}: the card would break CDS Hooks and is not shown ({error})."
            advice.silences.append(WhyNot(artifact.id, "failed", text))
        advice.silences += [WhyNot(artifact.id, "not-offered", sentence) for sentence in outcome.withheld]
    if not outcomes:
        advice.silences.append(WhyNot(artifact.id, "nothing-to-judge", "No action of the plan answers this hook."))
    return advice


def _count_gaps(artifact: Artifact, call: ServiceInput) -> Advice:
    """Put what a quality measure counts as not done on the worklist; a measure is not a card."""
    as_of = call.record.as_of
    gaps = gaps_in_care(
        artifact,
        _resources(artifact, call),
        {"start": f"{as_of.year:04d}-01-01", "end": f"{as_of.year:04d}-12-31"},
        as_of.isoformat(timespec="milliseconds"),
        _unknown(artifact, call),
    )
    advice = Advice(scores={"knowledge": _reference(artifact), "outcomes": [_of_gap(gap) for gap in gaps]})
    withheld = call.why_not_released(KNOWLEDGE, artifact.id)
    for gap in gaps:
        advice.silences.append(WhyNot(artifact.id, _GAP_REASONS[gap.state], gap.text))
        if gap.state == "open" and withheld is None:
            purpose = f"Quality measure {artifact.title}"
            advice.worklist.append(WorklistEntry(test=artifact.title, purpose=purpose, because="measure"))
    return replace(advice, silences=[*advice.silences, withheld]) if withheld is not None else advice


_GAP_REASONS: Final = {
    "open": "worklist", "closed": "already-done", "excluded": "excluded", "not eligible": "outside-population",
    "unknown": "input-missing", "failed": "failed",
}  # fmt: skip


def _of_gap(gap: Gap) -> dict[str, Any]:
    conditions = [{"name": name, "value": count} for name, count in gap.counts.items()]
    return {"action": f"Group {gap.group}", "state": gap.state, "reason": gap.text, "conditions": conditions}


def _reference(artifact: Artifact) -> dict[str, str]:
    return {"id": artifact.id, "version": artifact.version, "sha256": artifact.sha256}


def _resources(artifact: Artifact, call: ServiceInput) -> list[dict[str, Any]]:
    """Return the resources of the types that the plan reads, as they were sent; they are recorded with the decision."""
    return [resource for kind in artifact.reads for resource in OriginalOrders(call.sent, kind).every()]


def _unknown(artifact: Artifact, call: ServiceInput) -> frozenset[str]:
    """Return the types of resources that are not known: one prefetch key that is not known is enough."""
    not_known = {state.template.resource for state in call.prefetch.states if not state.is_known}
    never_asked = frozenset(artifact.reads) - SEARCHED - _NOT_ASKED_FOR - {"Observation"}
    return frozenset(not_known & set(artifact.reads)) | never_asked


def _drafts(call: ServiceInput) -> list[dict[str, Any]]:
    raw = getattr(call.request.context, "draft_orders", None)
    if raw is None:
        return []
    resources = [entry.get("resource") for entry in entries_in(raw, "context.draftOrders") if isinstance(entry, dict)]
    return [resource for resource in resources if isinstance(resource, dict)]


def _card(artifact: Artifact, call: ServiceInput, outcome: Outcome, card: Card, index: int) -> Card:
    """Give the card the identity that it has in this call."""
    identity, output = call.card_identity(), f"action-{index + 1}"
    extension = CardExtension(
        finding=Finding(f"{artifact.id} {output}", artifact.id),
        model=_reference(artifact),
        output=output,
        facts=tuple(_facts(outcome.conditions)),
    )
    return check_card(
        replace(
            card,
            uuid=identity.uuid,
            suggestions=identity.name_suggestions(card.suggestions),
            links=(*card.links, *identity.links),
            extension={EXTENSION_KEY: extension},
        )
    )


def _facts(conditions: Sequence[Any]) -> Iterator[Fact]:
    """Yield the resources that the conditions were made of."""
    seen = dict.fromkeys(resource for condition in conditions for resource in condition.resources)
    for resource in list(seen)[:_MOST_REFERENCES]:
        yield Fact(name="resource", source=resource)
