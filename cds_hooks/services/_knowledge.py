"""The services of published knowledge: each PlanDefinition of the folder that `CDS_KNOWLEDGE` names is one.

Nothing of this is imported in a server that names no folder. What a plan says of a patient is in `cards/knowledge`;
here it is given the resources of the call as the client sent them, and its outcomes become cards and silences.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw

from cards.card import Action, Card, Coding, Link, Source, Suggestion, check_card
from cards.extension import EXTENSION_KEY, CardExtension, Fact
from cards.knowledge.apply import SILENCES, OfferedAction, Outcome, apply
from cards.knowledge.apply import Advice as Said
from cards.knowledge.artifact import Artifact, Refused, check_folder
from cards.knowledge.folder import Fault
from cards.text import escape
from cds_hooks.logs import log
from cds_hooks.prefetch.needs import SEARCHED, Needs
from cds_hooks.protocol.hooks import LIBRARY
from cds_hooks.protocol.originals import OriginalOrders
from cds_hooks.services._service import Advice, Service, ServiceInput
from fhir.record.datatypes import decode_exactly
from fhir.record.refusals import WhyNot

_NOT_ASKED_FOR: Final = frozenset({"Patient", "Medication"})
"""They come with every call, or with the orders that name them."""
_MOST_REFERENCES: Final = 12


def knowledge_services(folder: Path) -> Iterator[Service]:
    """Yield a service for each PlanDefinition of the folder that can be used; log each artifact that is refused."""
    artifacts, refused, faults = check_folder(folder)
    for one in refused:
        log().warning("knowledge-refused", service=one.id, count=len(one.faults), reason=_reason(one))
    for fault in faults:
        log().warning("knowledge-file-left-out", reason=_plain(str(fault)))
    for artifact in artifacts:
        hooks = tuple(hook for hook in artifact.hooks if hook in LIBRARY)
        if artifact.kind == "PlanDefinition" and hooks:
            yield _service(artifact, hooks)


def refused_sentences(folder: Path) -> list[str]:
    """Return a sentence for each fault of an artifact that is not started."""
    _, refused, faults = check_folder(folder)
    return [f"{one.id}: {fault}" for one in refused for fault in one.faults] + [str(fault) for fault in faults]


def _reason(refused: Refused) -> str:
    return _plain(str(min(refused.faults, default=Fault("", ""))))


def _plain(text: str) -> str:
    """Return what of a sentence the operational log takes."""
    return "".join(sign if sign.isalnum() or sign in " _.,:;/()*+-" else "-" for sign in text)[:120]


def _service(artifact: Artifact, hooks: tuple[str, ...]) -> Service:
    asked = frozenset(artifact.reads) - _NOT_ASKED_FOR
    return Service(
        id=artifact.id,
        hooks=hooks,
        title=artifact.title,
        description=_description(artifact),
        usage_requirements="Needs read access to the resources of its prefetch templates.",
        needs=Needs.of(
            resources=(asked & SEARCHED) - {"Observation"},
            whole_history=asked & SEARCHED,
            newest_results="Observation" in asked,
        ),
        decide=partial(_decide, artifact),
        returns_resources=frozenset(artifact.reads),
        warns_of_harm=False,
        knowledge=artifact.sha256,
    )


def _description(artifact: Artifact) -> str:
    text = " ".join(str(artifact.resource.get("description") or artifact.title).split())
    return text if len(text) <= 400 else text[:399].rstrip() + "…"


async def _decide(artifact: Artifact, call: ServiceInput) -> Advice:
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
    advice = Advice(scores={"knowledge": _reference(artifact), "outcomes": msgspec.to_builtins(outcomes)})
    if drafts:
        advice.orders = {"drafts": Raw(bytes(call.request.context.draft_orders)), "judged": None}  # type: ignore[attr-defined]
    for index, outcome in enumerate(outcomes):
        if outcome.advice is None:
            advice.silences.append(WhyNot(artifact.id, SILENCES[outcome.state], f"{outcome.action}: {outcome.reason}"))
        else:
            advice.cards.append(_card(artifact, call, outcome, outcome.advice, index))
        advice.silences += [WhyNot(artifact.id, "not-offered", sentence) for sentence in outcome.withheld]
    if not outcomes:
        advice.silences.append(WhyNot(artifact.id, "nothing-to-judge", "No action of the plan answers this hook."))
    return advice


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
    bundle = decode_exactly(bytes(raw))
    entries = bundle.get("entry") if isinstance(bundle, dict) else None
    resources = [entry.get("resource") for entry in entries or () if isinstance(entry, dict)]
    return [resource for resource in resources if isinstance(resource, dict)]


def _card(artifact: Artifact, call: ServiceInput, outcome: Outcome, said: Said, index: int) -> Card:
    identity = call.card_identity()
    suggestions = tuple(
        _suggestion(offer, identity.suggestion_uuid(number)) for number, offer in enumerate(said.offers, 1)
    )
    extension = CardExtension(
        model=_reference(artifact), output=f"action-{index + 1}", facts=tuple(_facts(outcome.conditions))
    )
    return check_card(
        Card(
            uuid=identity.uuid,
            summary=said.summary,
            indicator=said.indicator,
            source=Source(label=said.source_label, url=said.source_url),
            detail=_detail(said) or None,
            suggestions=suggestions,
            selection_behavior=("at-most-one" if said.at_most_one else "any") if suggestions else None,
            override_reasons=tuple(
                Coding(system=system, code=code, display=display) for system, code, display in said.override_reasons
            ),
            links=(*(Link(label=label, url=url, type="absolute") for label, url in said.links), *identity.links),
            extension={EXTENSION_KEY: extension},
        )
    )


def _suggestion(offer: OfferedAction, uuid: str) -> Suggestion:
    actions = tuple(Action(type="create", description=offer.label, resource=resource) for resource in offer.resources)
    return Suggestion(label=offer.label, uuid=uuid, actions=actions)


def _detail(said: Said) -> str:
    grades = [
        f"{words}: {escape(grade)}"
        for words, grade in (
            ("Strength of the recommendation", said.strength),
            ("Quality of the evidence", said.quality),
        )
        if grade
    ]
    return "\n\n".join(part for part in (said.detail, f"{'. '.join(grades)}." if grades else "") if part)


def _facts(conditions: Sequence[Any]) -> Iterator[Fact]:
    """Yield the resources that the conditions were made of."""
    seen = dict.fromkeys(resource for condition in conditions for resource in condition.resources)
    for resource in list(seen)[:_MOST_REFERENCES]:
        yield Fact(name="resource", source=resource)
