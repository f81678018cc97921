"""Inspects the prefetch of a call: which keys were sent, which came back empty, which are missing.

Finds the Medications that orders refer to and that did not come with the call.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from cds_hooks.prefetch.state import MOST_STATES, KeyState, PrefetchState, State, Templates
from cds_hooks.prefetch.template import Template
from cds_hooks.protocol.request import CDSRequest
from fhir.client.query import Search, escaped
from fhir.record.datatypes import Reference, parse_time
from fhir.record.record import BrokenResource
from fhir.record.refusals import Refusal
from fhir.record.resources import (
    Bundle,
    Medication,
    MedicationAdministration,
    MedicationDispense,
    MedicationRequest,
    MedicationStatement,
    Observation,
    OperationOutcome,
)

REFERRED_MEDICATIONS_KEY: Final = "(medications referred to)"
"""Under which they stand beside the prefetch; no client's key, for it is no key of a template either."""

MOST_MEDICATIONS: Final = 200
"""Of them in one search."""

ORDER_TYPES: Final = frozenset(
    {"MedicationRequest", "MedicationStatement", "MedicationDispense", "MedicationAdministration"}
)
_READ: Final = frozenset(
    {MedicationRequest, MedicationStatement, MedicationDispense, MedicationAdministration, Medication}
)


class _Draft(Struct, frozen=True):
    resourceType: str | None = None
    id: Any = None
    medicationReference: Reference | None = None


class _DraftEntry(Struct, frozen=True):
    fullUrl: Any = None
    resource: _Draft | None = None


class _Drafts(Struct, frozen=True):
    entry: tuple[_DraftEntry, ...] = ()


_drafts = msgspec.json.Decoder(_Drafts)


def has_missing_medications(request: CDSRequest, templates: Templates) -> bool:
    """Returns whether a FHIR server came with the call, and an order refers to a Medication that did not."""
    return (
        request.fhir_authorization is not None
        and any(template.resource in ORDER_TYPES for template in templates)
        and bool(missing_medications(request, request.prefetch))
    )


def missing_medications(request: CDSRequest, values: Mapping[str, Any]) -> list[str]:
    """Returns the ids of Medications that are referred to and not there, in order of appearance."""
    there: set[str] = set()
    referred: list[Reference] = []
    for resource in _resources_of_values(values.values()):
        if isinstance(resource, Medication):
            there.add(resource.id or "")
            referred += [part.itemReference for part in resource.ingredient if part.itemReference is not None]
        elif resource.medicationReference is not None:
            referred.append(resource.medicationReference)
    for entry in _draft_entries(request):
        draft = entry.resource
        if draft is not None and draft.resourceType == "Medication":
            there |= {str(draft.id), str(entry.fullUrl).rsplit("/", 1)[-1]}
        elif draft is not None and draft.medicationReference is not None:
            referred.append(draft.medicationReference)
    wanted = dict.fromkeys(identity for reference in referred if (identity := _medication_id(reference)))
    return [identity for identity in wanted if identity not in there]


def medication_search(ids: list[str]) -> Search:
    """Returns one search for all of them; `_id` is in the restricted subset of queries."""
    return Search("Medication", (("_id", ",".join(escaped(identity) for identity in ids)), ("_count", str(len(ids)))))


def _resources_of_values(values: Iterable[Any]) -> Iterator[Any]:
    """Orders, statements and Medications; a chart has hundreds of other resources beside them."""
    for value in values:
        if type(value) is Bundle:
            for entry in value.entry:
                if type(entry.resource) in _READ:
                    yield entry.resource
        elif type(value) in _READ:
            yield value


def _medication_id(reference: Reference) -> str:
    """The id of the Medication on a server; empty for `#…`, which is inside the resource itself, and for a `urn:`."""
    *_, kind, identity = ["", *(reference.reference or "").split("/_history/", 1)[0].split("/")]
    return identity if kind == "Medication" else ""


def _draft_entries(request: CDSRequest) -> tuple[_DraftEntry, ...]:
    raw = getattr(request.context, "draft_orders", None) or getattr(request.context, "medications", None)
    try:
        return _drafts.decode(raw).entry if raw is not None else ()
    except msgspec.DecodeError:
        return ()  # the service says what is wrong with its drafts


_ABSENT: Final = object()
_HOUR_SECONDS: Final = 3600.0

_NOT_SENT: Final = "not sent by the EHR"
_NOT_RECOGNISED: Final = "not found in what the EHR sent"
_FAILED: Final = "the EHR reports that it could not get them"
_NO_RESOURCE: Final = "the EHR sent something that is not a FHIR resource"
_OTHER_KIND: Final = "the EHR sent something of another kind"
_FIRST_PAGE: Final = "the EHR sent the first page only"


def inspect_prefetch(prefetch: Mapping[str, Any], templates: Templates, as_of_epoch: float) -> PrefetchState:
    """Returns the state of every key; values are lean resources and Bundles, or None for null.

    "Asked, none found" and "not asked" are two things: null and an empty Bundle are answers, an absent key is not. A
    client may use its own key names: what a value holds then says which template it answers. A call that brings
    everything, or all but what no other key can bring, costs nothing but the look: what follows is remembered.
    """
    pattern = "".join([_letter(prefetch.get(template.key, _ABSENT), template, as_of_epoch) for template in templates])
    absent = pattern.count("-")
    is_plain = "?" not in pattern and (not absent or len(prefetch) + absent == len(templates))
    remembered_state = templates.state_by_pattern.get(pattern) if is_plain else None
    if remembered_state is not None:
        return remembered_state
    states = tuple(_states(prefetch, templates, as_of_epoch))
    if not is_plain:
        return PrefetchState(states, tuple(_failed_under_other_keys(prefetch, templates)))
    state = PrefetchState(states)
    if len(templates.state_by_pattern) < MOST_STATES:
        templates.state_by_pattern[pattern] = state
    return state


def _letter(value: Any, template: Template, as_of_epoch: float) -> str:
    """`g` for a whole answer, `n` for "none found", `-` for none at all, `?` for what needs a closer look."""
    if value is None:
        return "n"
    if value is _ABSENT:
        return "?" if template.analytes else "-"
    if type(value) is template.type:
        return "g"
    if type(value) is not Bundle:
        return "?"
    entries = value.entry
    if value.link and _next_of(value) is not None:
        return "?"
    if value.meta is not None and template.policy.is_old(_age_hours(value, as_of_epoch)):
        return "?"
    if not entries:
        return "?" if value.total else "n"
    if type(entries[0].resource) is not template.type or (value.total or 0) > len(entries):
        return "?"
    return "g"


def _states(prefetch: Mapping[str, Any], templates: Templates, as_of_epoch: float) -> Iterator[KeyState]:
    keys = {template.key for template in templates}
    unasked = {key: value for key, value in prefetch.items() if key not in keys}
    for template in templates:
        value = prefetch.get(template.key, _ABSENT)
        if value is _ABSENT:
            yield _sent_among_others(template, prefetch, templates, as_of_epoch) or _not_sent(
                template, unasked, as_of_epoch
            )
        else:
            yield _sent(template, value, as_of_epoch)


def _sent(template: Template, value: Any, as_of_epoch: float) -> KeyState:
    if value is None:
        return KeyState(template, "null")
    if isinstance(value, BrokenResource) and value.resource_type == "resource":
        return KeyState(template, "failed", "not-a-resource", text=_NO_RESOURCE)
    if _has_failed(value):
        return KeyState(template, "failed", "prefetch-failed", text=_FAILED)
    if _is_empty(value):
        return _answered(template, value, "null", as_of_epoch)
    if not _holds(template, value) and not isinstance(value, BrokenResource):
        return KeyState(template, "unobtainable", "other-kind", text=_OTHER_KIND)
    return _answered(template, value, "given", as_of_epoch)


def _answered(template: Template, value: Any, state: State, as_of_epoch: float, sent_as: str | None = None) -> KeyState:
    """Returns the state of an answer that is there: complete, or a part of it, or run too long ago."""
    sent_as = sent_as or template.key
    if not isinstance(value, Bundle):
        return KeyState(template, state, sent_as=sent_as)
    # What the query itself cuts off is no fault of the EHR.
    is_cut_by_us = 0 < template.asked_count <= len(value.entry)
    if _next_of(value) is not None:
        text = f"the newest {template.asked_count} were asked for, there are more" if is_cut_by_us else _FIRST_PAGE
        return KeyState(template, state, "partial", "next-page", text, sent_as)
    if (value.total or 0) > len(value.entry):
        text = f"the EHR sent {len(value.entry)} of {value.total}"
        if is_cut_by_us:
            text = f"the newest {template.asked_count} of {value.total} were asked for"
        return KeyState(template, state, "partial", "cut", text, sent_as)
    hours = _age_hours(value, as_of_epoch) if value.meta is not None else 0.0
    if template.policy.is_old(hours):
        text = f"the EHR looked it up {_ago(hours)} ago"
        return KeyState(template, state, "old", "", text, sent_as)
    return KeyState(template, state, sent_as=sent_as)


def _sent_among_others(
    template: Template, prefetch: Mapping[str, Any], templates: Templates, as_of_epoch: float
) -> KeyState | None:
    """Returns what another of our keys brings of it that it was not asked for: weights among the laboratory results."""
    for neighbour in templates:
        value = prefetch.get(neighbour.key, _ABSENT)
        if value is not _ABSENT and template.analytes and _holds_any(value, template.codes - neighbour.codes):
            return _answered(template, value, "given", as_of_epoch, neighbour.key)
    return None


def _not_sent(template: Template, unasked: Mapping[str, Any], as_of_epoch: float) -> KeyState:
    """Returns what a client's own key names bring of it, by content."""
    same_type = False
    for key, value in unasked.items():
        if not _holds(template, value):
            continue
        if not template.analytes or _holds_any(value, template.codes):
            return _answered(template, value, "given", as_of_epoch, key)
        same_type = True
    if same_type:
        return KeyState(template, "unobtainable", "not-sent", "not-recognised", _NOT_RECOGNISED)
    return KeyState(template, "unobtainable", "not-sent", "", _NOT_SENT)


def _failed_under_other_keys(prefetch: Mapping[str, Any], templates: Templates) -> Iterator[Refusal]:
    keys = {template.key for template in templates}
    for key, value in prefetch.items():
        if key not in keys and value is not None and _has_failed(value):
            text = f"prefetch.{key} failed at the client (OperationOutcome): treated as not known."
            yield Refusal(f"prefetch.{key}", "prefetch-failed", text)


def _resources(value: Any) -> Iterator[Any]:
    if isinstance(value, Bundle):
        for entry in value.entry:
            yield from _resources(entry.resource)
    elif value is not None:
        yield value


def _holds(template: Template, value: Any) -> bool:
    return any(
        type(resource) is template.type or getattr(resource, "resource_type", "") == template.resource
        for resource in _resources(value)
    )


def _holds_any(value: Any, codes: Collection[str]) -> bool:
    return any(
        coding.code in codes
        for resource in _resources(value)
        if isinstance(resource, Observation) and resource.code is not None
        for coding in resource.code.coding
    )


def _has_failed(value: Any) -> bool:
    if isinstance(value, OperationOutcome):
        return True
    if not isinstance(value, Bundle) or not value.entry:
        return False
    outcomes = [entry.resource for entry in value.entry if isinstance(entry.resource, OperationOutcome)]
    return len(outcomes) == len(value.entry) and any(not outcome.says_none_found for outcome in outcomes)


def _is_empty(value: Any) -> bool:
    return not any(not isinstance(resource, OperationOutcome) for resource in _resources(value))


def _next_of(bundle: Bundle) -> str | None:
    return next((link.url for link in bundle.link if link.relation == "next" and link.url), None)


def _age_hours(bundle: Bundle, as_of_epoch: float) -> float:
    text = bundle.meta.lastUpdated if bundle.meta is not None else None
    run_at = parse_time(text) if text else None
    return 0.0 if run_at is None else (as_of_epoch - run_at.instant) / _HOUR_SECONDS


def _ago(hours: float) -> str:
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
