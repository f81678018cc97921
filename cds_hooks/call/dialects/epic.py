"""Epic: hooks told apart by a trigger, one action a suggestion, topics that remember overrides.

Source: "CDS Hooks Tutorial", Epic on FHIR (fhir.epic.com, Documentation, docId=cds-hooks), read in a public Markdown
copy in 2026; and the project's note on EHR dialects, section 1.
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Raw, structs

from cards.card import Action, Card, Suggestion
from cards.text import escape
from cds_hooks.call.dialects._dialect import Dialect, Markdown
from cds_hooks.call.protocol.hooks import ENCOUNTER_DISCHARGE, ENCOUNTER_START, PATIENT_VIEW
from cds_hooks.evidence.storage.decision import part_uuid

TRIGGER: Final = "com.epic.cdshooks.request.bpa-trigger-action"
# Workflows for which Epic has no hook of its own and reuses patient-view. The others lack what their hook requires.
_MEANT: Final = {"26": ENCOUNTER_START, "27": ENCOUNTER_DISCHARGE}
# "Order overrides are NOT set with information from the service response": what Epic can place is the order alone.
_PLACED: Final = frozenset({"MedicationRequest", "ServiceRequest"})
_CONTENT_TYPE: Final = "com.epic.cdshooks.card.detail.content-type"
_CONTENT_TYPES: Final[dict[Markdown, str]] = {
    "full": "text/markdown; variant=GitHub",
    "basic": "text/markdown; variant=CommonMark",
    "plain": "text/plain",
}
MOST_OF_A_TOPIC: Final = 100
_DIGEST: Final = 16
_WORD: Final = re.compile(r"[A-Za-z0-9]+")


class _Extension(msgspec.Struct):
    trigger: str | int | None = msgspec.field(default=None, name=TRIGGER)


_extension: Final = msgspec.json.Decoder(_Extension)


def actual_hook(hook: str, extension: Raw) -> str:
    """Return the hook behind a native trigger that Epic sends as patient-view; any other hook as it is."""
    if hook != PATIENT_VIEW:
        return hook
    try:
        trigger = _extension.decode(extension).trigger
    except msgspec.ValidationError:
        return hook
    return _MEANT.get(str(trigger), hook)


def shape(card: Card, markdown: Markdown) -> Card:
    """Return the card with a constant topic, suggestions of one action each, and in words what Epic cannot display."""
    suggestions, unplaced = _suggestions(card)
    detail = "\n".join([card.detail or "", *(_in_words(line, markdown) for line in unplaced)]).strip()
    source = card.source
    if source.topic is not None:
        code = topic_code(source.topic.code, [(finding.rule, finding.band) for finding in card.own_extension.findings])
        source = structs.replace(source, topic=structs.replace(source.topic, code=code))
    return structs.replace(
        card,
        source=source,
        detail=detail or None,
        suggestions=suggestions,
        selection_behavior="any" if suggestions else None,
        extension={**(card.extension or {}), _CONTENT_TYPE: _CONTENT_TYPES[markdown]},
    )


# Topics


def topic_code(topic: str, findings: Iterable[tuple[str, str]]) -> str:
    """Letters and digits, at most 100: the same for the same advice, another for other advice.

    Epic keeps an override by this code, so it names the service and the rules and bands that are on the card: a
    contraindication is not hidden by the override of a milder advice, or of the same one at another step.
    """
    code = in_one_word(topic) + "And".join(sorted({in_one_word(f"{rule} {band}") for rule, band in findings}))
    if len(code) <= MOST_OF_A_TOPIC:
        return code
    digest = sha256(code.encode()).hexdigest()[:_DIGEST]
    return f"{code[: MOST_OF_A_TOPIC - _DIGEST]}{digest}"


def in_one_word(text: str) -> str:
    """Return its letters and digits, each word with a capital: all that Epic takes as a topic."""
    return "".join(word[:1].upper() + word[1:] for word in _WORD.findall(text))


# Suggestions


def _suggestions(card: Card) -> tuple[tuple[Suggestion, ...], list[str]]:
    """Return one action each, and the words of those that Epic has no way to place."""
    merged: dict[str, Suggestion] = {}
    unplaced: list[str] = []
    for suggestion in card.suggestions:
        actions = [single for action in suggestion.actions for single in _placeable(action)]
        if not actions or any(not _can_be_placed(action) for action in actions):
            unplaced.append(
                _with_descriptions(suggestion.label, *(action.description for action in suggestion.actions))
            )
            continue
        for action in actions:
            single = _single(suggestion, action, len(merged), is_alone=len(actions) == 1)
            key = action.resource_id or single.uuid
            merged[key] = _merged(merged[key], single, action) if key in merged else single
    return tuple(merged.values()), unplaced


def _merged(suggestion: Suggestion, second: Suggestion, removal: Action) -> Suggestion:
    """Two alternatives that both remove the draft: that is offered once, under both labels."""
    label = f"{suggestion.label} / {second.label}"
    return structs.replace(
        suggestion,
        label=label,
        is_recommended=suggestion.is_recommended or second.is_recommended,
        actions=(structs.replace(removal, description=_with_descriptions(label, removal.description)),),
    )


def _placeable(action: Action) -> Iterator[Action]:
    """Yield an update of a draft as its removal and a new order: Epic updates no unsigned medication order."""
    resource = action.resource or {}
    if action.type != "update" or resource.get("status") != "draft":
        yield action
        return
    yield Action(
        type="delete",
        description="Remove the order as drafted",
        resource_id=f"{resource['resourceType']}/{resource['id']}",
    )
    yield Action(type="create", description=action.description, resource=resource)


def _can_be_placed(action: Action) -> bool:
    kind = action.resource_id or str((action.resource or {}).get("resourceType"))
    return action.type in ("create", "delete") and kind.partition("/")[0] in _PLACED


def _single(suggestion: Suggestion, action: Action, number: int, *, is_alone: bool) -> Suggestion:
    """Return a suggestion of this action alone; what was one suggestion keeps its uuid."""
    uuid = suggestion.uuid if is_alone else part_uuid(suggestion.uuid, number)
    action = structs.replace(action, description=_with_descriptions(suggestion.label, action.description))
    if action.type == "create" and not is_alone:
        action = structs.replace(action, resource={**(action.resource or {}), "id": uuid})
    return structs.replace(suggestion, uuid=uuid, actions=(action,))


def _with_descriptions(label: str, *descriptions: str) -> str:
    """Return what is read of a suggestion there: the description, for labels are not shown."""
    text = "; ".join(descriptions)
    return text if text.startswith(label) else f"{label}: {text}" if text else label


def _in_words(text: str, markdown: Markdown) -> str:
    return f"- To do in the chart: {text if markdown == 'plain' else escape(text, 400)}"


DIALECT = Dialect(
    "epic",
    "Epic",
    actual_hook=actual_hook,
    shape=shape,
)
