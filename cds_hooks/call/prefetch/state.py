"""The state of every prefetch key in one call: which were sent, came back empty or are missing, and what follows.

What follows are gaps, reasons, the Medications that orders refer to and that did not come, and the note on cards.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, structs

from cards.card import Card
from cds_hooks.call.prefetch.template import Template
from cds_hooks.call.protocol.request import CDSRequest
from cds_hooks.errors import PreconditionFailed
from fhir.client.query import Search, escaped
from fhir.record.datatypes import Reference, parse_time
from fhir.record.measurement import parts_by_analyte
from fhir.record.record import BrokenResource, PatientRecord
from fhir.record.refusals import Refusal
from fhir.record.resources import (
    Bundle,
    BundleEntry,
    Medication,
    MedicationAdministration,
    MedicationDispense,
    MedicationRequest,
    MedicationStatement,
    Observation,
    OperationOutcome,
)
from fhir.terminology.analytes import LOINC_SYSTEMS

State = Literal["given", "null", "failed", "fetched", "unobtainable"]
"""given: the client sent it. null: the client asked and found none. failed: the client could not get it and said so.
fetched: read from the FHIR server, found or not. unobtainable: neither sent nor to be had."""

_FAILED_ENTRY: Final = "failed-entry"
_KNOWN: Final = frozenset({"given", "null", "fetched"})
_NO_ANSWER: Final = frozenset({"timeout", "unreachable", "busy"})
"""Reasons of `fhir.client.errors` for which no query of a call is answered."""
_encode: Final = msgspec.json.Encoder().encode


class FetchCost(Struct, frozen=True):
    """What reading one key from the FHIR server took; `resources` is how many came."""

    milliseconds: float
    pages: int
    bytes: int
    resources: int


class KeyState(Struct, frozen=True):
    """One key of one call.

    `reason` is why it is not known; where it is known, why not wholly so: "partial" or "old". `cause` is the code of
    what stood in the way, `text` the same for a person. `sent_as` is the client's name for it.
    """

    template: Template
    state: State
    reason: str = ""
    cause: str = ""
    text: str = ""
    sent_as: str = ""
    cost: FetchCost | None = None

    @property
    def is_known(self) -> bool:
        """Whether it was asked for and answered: if not, its absence means nothing (TRAP-04)."""
        return self.state in _KNOWN

    @property
    def is_gap(self) -> bool:
        """Whether a FHIR server could still give more of it."""
        return not self.is_known or self.reason == "old" or self.cause == "next-page"

    @property
    def is_reported(self) -> bool:
        """Whether the reason is shown to the clinician; that a client could not get what it asked for always is."""
        has_failed = self.reason == "prefetch-failed" or self.cause == _FAILED_ENTRY
        return bool(self.reason) and (has_failed or self.template.policy.if_missing != "omit")


class PrefetchState(Struct, frozen=True, dict=True):
    """The state of every prefetch key of a service in one call.

    `other` are failures that came under keys of the client's own. `milliseconds` is the time from the first query to
    the FHIR server to its last answer.
    """

    states: tuple[KeyState, ...]
    other: tuple[Refusal, ...] = ()
    milliseconds: float = 0.0

    @cached_property
    def looked_up(self) -> frozenset[str]:
        """The resource types and analytes that were looked up, whether or not something was found."""
        return frozenset().union(*(state.template.brings for state in self.states if state.is_known))

    def known_in(self, record: PatientRecord) -> PatientRecord:
        """Return the record in which nothing follows from the absence of a result, where the EHR could not get all."""
        failed = (state.template.analytes for state in self.states if state.cause == _FAILED_ENTRY)
        unknown = frozenset(name for name in chain.from_iterable(failed) if not record.resources.parts_of(name))
        return record.with_requested(self.looked_up - unknown) if unknown else record

    @cached_property
    def gaps(self) -> tuple[KeyState, ...]:
        """The keys for which a FHIR server should be asked."""
        return tuple(state for state in self.states if state.is_gap)

    @property
    def is_unanswered(self) -> bool:
        """Whether the FHIR server was asked and gave nothing, because it cannot be reached, is late or is busy."""
        return not any(state.state == "fetched" for state in self.states) and any(
            not state.is_known and _NO_ANSWER.intersection((state.reason, state.cause)) for state in self.states
        )

    @cached_property
    def reported(self) -> list[KeyState]:
        """The keys that are not known or known only in part, for the reasons that the answer gives."""
        return [state for state in self.states if state.is_reported]

    @cached_property
    def refusals(self) -> tuple[Refusal, ...]:
        """The same as refusals, with what failed under keys of the client's own."""
        return (
            *self.other,
            *(Refusal(f"prefetch.{state.template.key}", state.reason, _sentence_of(state)) for state in self.reported),
        )

    @cached_property
    def note(self) -> str | None:
        """The line of a card that everything can change, about data that was not available; None where all was."""
        return self.note_about(None)

    def note_about(self, reads: frozenset[str] | None) -> str | None:
        """Return the same of a card that only these analytes and resource types can change (None: everything)."""
        reported = [state for state in self.reported if reads is None or state.template.brings & reads]
        lines = (
            f"**{start}** {_grouped(lacking)}."
            for lack, (start, _) in _LACK_PHRASES.items()
            if (lacking := [state for state in reported if _lack_of(state) == lack])
        )
        return " ".join(lines) or None

    @cached_property
    def basis(self) -> msgspec.Raw:
        """JSON for the decision record: by key its state, or an object with state, reason and cost."""
        return msgspec.Raw(_encode({state.template.key: _recorded(state) for state in self.states}))

    @cached_property
    def summary(self) -> str:
        """The keys and their states, for the counters: `patient=given labs=null`."""
        return " ".join(f"{state.template.key}={state.state}" for state in self.states)

    @cached_property
    def texts(self) -> dict[str, str]:
        """By key why it is not known, or not wholly, in words; for the facts that are kept of a call."""
        return {state.template.key: state.text for state in self.states if state.text}

    @cached_property
    def _changes(self) -> "dict[object, PrefetchState]":
        return {}

    def changed(self, why: object, states: Iterable[KeyState]) -> "PrefetchState":
        """Return the state with these keys, made once for each reason; that of a usual call is kept, and what follows.

        There are a few reasons only: which of the gaps need no query, and that there is no server to ask.
        """
        changed_state = self._changes.get(why)
        if changed_state is None:
            changed_state = self._changes[why] = structs.replace(self, states=tuple(states))
        return changed_state

    def require(self, key: str) -> None:
        """Require that this key is known.

        Raises:
            PreconditionFailed: It is not known; answered 412 with what is missing, why, and what to send.
            LookupError: The service has no such key.
        """
        if not self.states:
            return  # called without prefetch
        required_state = next((state for state in self.states if state.template.key == key), None)
        if required_state is None:
            declared = ", ".join(state.template.key for state in self.states)
            raise LookupError(f"there is no prefetch key {key!r}; the service has {declared}")
        # Under a key of the client's own resources of the type came: what was asked for cannot be seen, but 412 is for
        # data that is absent, not for data that does not suffice (TRAP-07).
        if not required_state.is_known and required_state.cause != "not-recognised":
            raise PreconditionFailed(
                f"prefetch.{key} ({required_state.template.words}) is required and missing: {required_state.text}. "
                "Nothing was computed. Send this key of the service's prefetch (null if the chart has none), "
                "or a fhirServer with a token that may read it.",
                f"prefetch.{key}",
            )


class Templates(tuple[Template, ...]):
    """The templates of one service, in the order in which they are published.

    `state_by_pattern` remembers the state of calls that bring every key, by which keys are empty: at most `MOST_STATES`
    of them (without it a call of a sample takes 14 % longer).
    """

    state_by_pattern: "dict[str, PrefetchState]"
    by_user_type: "dict[str, Templates]"
    user_types: frozenset[str]

    def __new__(cls, templates: Iterable[Template] = ()) -> "Templates":
        """Return the templates in the order in which they are published (TOK-15 gives it meaning)."""
        in_order = super().__new__(cls, templates)
        in_order.state_by_pattern = {}
        in_order.by_user_type = {}
        in_order.user_types = frozenset().union(*(template.user_types for template in in_order))
        return in_order

    def before_3(self) -> "Templates":
        """Return those that a client up to CDS Hooks 2.0.1 is asked for.

        Only what can be filled for a Practitioner, whom most clients name: some send a token that they cannot fill as
        it stands, as the public sandbox did, and the query fails. The PractitionerRole is then read.
        """
        return Templates(
            template
            for template in self
            if not template.is_of_3 and (not template.user_types or "Practitioner" in template.user_types)
        )

    def for_user(self, user_id: str) -> "Templates":
        """Return those that can be filled for this user: a Practitioner has no PractitionerRole id."""
        kind = user_id.rpartition("/")[0].rpartition("/")[2]
        kind = kind if kind in self.user_types else ""
        if kind not in self.by_user_type:
            kept = (template for template in self if not template.user_types or kind in template.user_types)
            self.by_user_type[kind] = Templates(kept)
        return self.by_user_type[kind]

    def read_before_3(self) -> "Templates":
        """Those that are answered in a call of such a client: what it cannot be asked for may be read all the same."""
        return Templates(template for template in self if not template.is_of_3 or template.is_always_read)


MOST_STATES: Final = 4096

NO_PREFETCH: Final = PrefetchState(())
"""For a service that is called without prefetch, as in tests."""


_LACK_PHRASES: Final = {
    "unknown": ("Checked without", "not known"),
    "partial": ("Not complete:", "not complete"),
    "old": ("Not from today:", "not from today"),
}


# "Problems", "vaccinations given", "flags of the chart"; not "tobacco use", "smoking status".
_PLURAL: Final = re.compile(r"^(?:\w{1,30} )?\w{1,30}[^su\W]s\b")


def _lack_of(state: KeyState) -> str:
    return state.reason if state.is_known else "unknown"


def _sentence_of(state: KeyState) -> str:
    words = state.template.words
    verb = "are" if " and " in words or _PLURAL.search(words) else "is"
    return f"{words[0].upper()}{words[1:]} {verb} {_LACK_PHRASES[_lack_of(state)][1]}: {state.text}."


def _grouped(states: Iterable[KeyState]) -> str:
    """Words of keys with the same reason together: "problems and allergies (not sent by the EHR)".

    Why a FHIR server did not bring them either stands in the reasons of the answer.
    """
    by_text: dict[str, list[str]] = {}
    for state in states:
        by_text.setdefault(state.text.partition("; ")[0], []).append(state.template.words)
    return ", ".join(f"{_listed(words)} ({text})" for text, words in by_text.items())


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _recorded(state: KeyState) -> Any:
    if not state.reason and state.cost is None:
        return state.state
    recorded: dict[str, Any] = {"state": state.state}
    if state.reason:
        recorded |= {"reason": state.reason, "cause": state.cause} if state.cause else {"reason": state.reason}
    if state.cost is not None:
        recorded |= {
            "milliseconds": state.cost.milliseconds,
            "pages": state.cost.pages,
            "bytes": state.cost.bytes,
            "resources": state.cost.resources,
        }
    return recorded


NO_READS: Final[Mapping[str, frozenset[str]]] = {}
_MOST_LINES = 5  # lines: a card of an order has no more, so the note goes to the end of the last


def with_prefetch_note(
    cards: Sequence[Card], state: PrefetchState, reads: Mapping[str, frozenset[str]] = NO_READS
) -> Sequence[Card]:
    """Return the same cards, each with what could not be had as the last line of its detail, if that could change it.

    `reads`: by uuid what can change a card; every key can change one that is not in it.
    """
    if state.note is None:
        return cards
    notes = [state.note_about(reads[card.uuid]) if card.uuid in reads else state.note for card in cards]
    return [
        card if note is None else structs.replace(card, detail=_with(card.detail, note))
        for card, note in zip(cards, notes, strict=True)
    ]


def _with(detail: str | None, note: str) -> str:
    if not detail:
        return note
    return f"{detail} {note}" if len(detail.splitlines()) == _MOST_LINES else f"{detail}\n\n{note}"


REFERRED_MEDICATIONS_KEY: Final = "(medications referred to)"
"""Under which they stand beside the prefetch; no client's key, for it is not a key of a template either."""

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
    """Return whether a FHIR server came with the call, and an order refers to a Medication that did not."""
    return (
        request.fhir_authorization is not None
        and any(template.resource in ORDER_TYPES for template in templates)
        and bool(missing_medications(request, request.prefetch))
    )


def missing_medications(request: CDSRequest, values: Mapping[str, Any]) -> list[str]:
    """Return the ids of Medications that are referred to and not there, in order of appearance."""
    there: set[str | None] = set()
    referred: list[Reference] = []
    for resource in _resources_of_values(values.values()):
        if isinstance(resource, Medication):
            there.add(resource.id)
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
    """Return one search for all of them; `_id` is in the restricted subset of queries."""
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
    """Return the Medication's id on a server; empty for `#…`, which is inside the resource itself, and for a `urn:`."""
    *_, kind, identity = ["", *reference.reference.split("/_history/", 1)[0].split("/")]
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
_FAILED_IN_PART: Final = "the EHR reports that it could not get all of them"
_NO_RESOURCE: Final = "the EHR sent something that is not a FHIR resource"
_OTHER_KIND: Final = "the EHR sent something of another kind"
_FIRST_PAGE: Final = "the EHR sent the first page only"


def inspect_prefetch(prefetch: Mapping[str, Any], templates: Templates, as_of_epoch: float) -> PrefetchState:
    """Return the state of every key; values are lean resources and Bundles, or None for null.

    "Asked, none found" and "not asked" are two things: null and an empty Bundle are answers, an absent key is not. A
    client may use its own key names: what a value holds then says which template it answers. A call that brings
    everything, or all but what no other key can bring, costs nothing but the look: what follows is remembered.
    """
    pattern = _pattern(prefetch, templates, as_of_epoch)
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


def _pattern(prefetch: Mapping[str, Any], templates: Templates, as_of_epoch: float) -> str:
    """Return a letter for each key: `g` for a whole answer, `n` for "none found", `-` for none, `?` for a closer look.

    A function for each letter would be called 150 times in a visit.
    """
    letters: list[str] = []
    for template in templates:
        value = prefetch.get(template.key, _ABSENT)
        letter = "?"
        if value is None:
            letter = "n"
        elif value is _ABSENT:
            letter = "?" if template.analytes else "-"
        elif type(value) is template.type:
            letter = "g"
        elif type(value) is Bundle and not (value.link and _next_of(value) is not None):
            entries, is_dated = value.entry, value.meta is not None
            if is_dated and template.policy.is_old(_age_hours(value, as_of_epoch)):
                letter = "?"
            elif not entries:
                letter = "?" if value.total else "n"
            elif type(entries[0].resource) is template.type and (value.total or 0) <= len(entries):
                letter = "?" if _is_partly_failed(value) else "g"
        letters.append(letter)
    return "".join(letters)


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
    if all(isinstance(resource, OperationOutcome) for resource in _resources(value)):
        return _answered(template, value, "null", as_of_epoch)
    if not _holds(template, value):
        return KeyState(template, "unobtainable", "other-kind", text=_OTHER_KIND)
    return _answered(template, value, "given", as_of_epoch)


def _answered(template: Template, value: Any, state: State, as_of_epoch: float, sent_as: str | None = None) -> KeyState:
    """Return the state of an answer that is there: complete, or a part of it, or run too long ago."""
    sent_as = sent_as or template.key
    if not isinstance(value, Bundle):
        return KeyState(template, state, sent_as=sent_as)
    if _is_partly_failed(value):
        return KeyState(template, state, "partial", _FAILED_ENTRY, _FAILED_IN_PART, sent_as)
    # What the query itself cuts off is not a fault of the EHR.
    is_cut_by_us = 0 < template.asked_count <= len(value.entry)
    if _next_of(value) is not None:
        text = f"the newest {template.asked_count} were asked for, there are more" if is_cut_by_us else _FIRST_PAGE
        return KeyState(template, state, "partial", "next-page", text, sent_as)
    if (value.total or 0) > len(value.entry):
        text = f"the EHR sent {len(value.entry)} of {value.total}"
        if is_cut_by_us:
            text = f"the newest {template.asked_count} of {value.total} were asked for"
        return KeyState(template, state, "partial", "cut", text, sent_as)
    hours = _age_hours(value, as_of_epoch)
    if template.policy.is_old(hours):
        text = f"the EHR looked it up {_ago(hours)} ago"
        return KeyState(template, state, "old", "", text, sent_as)
    return KeyState(template, state, sent_as=sent_as)


def _sent_among_others(
    template: Template, prefetch: Mapping[str, Any], templates: Templates, as_of_epoch: float
) -> KeyState | None:
    """Return what another of our keys brings of it that it was not asked for: weights among the laboratory results."""
    for neighbour in templates:
        value = prefetch.get(neighbour.key)
        analytes = template.analytes - neighbour.analytes
        if template.analytes and _holds_any(value, template.codes - neighbour.codes, analytes):
            return _answered(template, value, "given", as_of_epoch, neighbour.key)
    return None


def _not_sent(template: Template, unasked: Mapping[str, Any], as_of_epoch: float) -> KeyState:
    """Return what a client's own key names bring of it, by content."""
    same_type = False
    for key, value in unasked.items():
        if not _holds(template, value):
            continue
        if not template.analytes or _holds_any(value, template.codes, template.analytes):
            return _answered(template, value, "given", as_of_epoch, key)
        same_type = True
    if same_type:
        return KeyState(template, "unobtainable", "not-sent", "not-recognised", _NOT_RECOGNISED)
    return KeyState(template, "unobtainable", "not-sent", "", _NOT_SENT)


def _failed_under_other_keys(prefetch: Mapping[str, Any], templates: Templates) -> Iterator[Refusal]:
    keys = {template.key for template in templates}
    for key, value in prefetch.items():
        if key not in keys and _has_failed(value):
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


def _holds_any(value: Any, codes: Collection[str], analytes: Set[str]) -> bool:
    """Whether it holds a result by one of these LOINC codes, or by its words or other codes one of these analytes."""
    observations = [resource for resource in _resources(value) if isinstance(resource, Observation)]
    if any(coding.code in codes for observation in observations for coding in observation.code.coding):
        return True
    without_loinc = (
        observation
        for observation in observations
        if all(coding.system not in LOINC_SYSTEMS for coding in observation.code.coding)
    )
    return not analytes.isdisjoint(parts_by_analyte(without_loinc))


def _has_failed(value: Any) -> bool:
    if isinstance(value, OperationOutcome):
        return True
    if not isinstance(value, Bundle):
        return False
    return _is_partly_failed(value) and not any(_resources_of_entry(entry) for entry in value.entry)


_response, _resource = attrgetter("response"), attrgetter("resource")
_TOLD_OF: Final = frozenset({OperationOutcome, Bundle})


def _is_partly_failed(bundle: Bundle) -> bool:
    """Whether an entry tells of an error, by itself or in a Bundle inside it (the answer to one request of a batch)."""
    entries = bundle.entry
    if not any(map(_response, entries)) and _TOLD_OF.isdisjoint(map(type, map(_resource, entries))):
        return False
    return any(
        entry.has_failed or (type(entry.resource) is Bundle and _is_partly_failed(entry.resource)) for entry in entries
    )


def _resources_of_entry(entry: BundleEntry) -> bool:
    return any(not isinstance(resource, OperationOutcome) for resource in _resources(entry.resource))


def _next_of(bundle: Bundle) -> str | None:
    return next((link.url for link in bundle.link if link.relation == "next" and link.url), None)


def _age_hours(bundle: Bundle, as_of_epoch: float) -> float:
    text = bundle.meta.lastUpdated if bundle.meta is not None else None
    run_at = parse_time(text)
    return 0.0 if run_at is None else (as_of_epoch - run_at.instant) / _HOUR_SECONDS


def _ago(hours: float) -> str:
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
