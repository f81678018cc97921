"""The state of every prefetch key in one call, and what follows from it: gaps, reasons, the note on cards."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, structs

from cards.card import Card
from cds_hooks.errors import PreconditionFailed
from cds_hooks.prefetch.template import TOKENS_OF_3, Template, check_template
from fhir.record.refusals import Refusal

State = Literal["given", "null", "failed", "fetched", "unobtainable"]
"""given: the client sent it. null: the client asked and found none. failed: the client could not get it and said so.
fetched: read from the FHIR server, found or not. unobtainable: neither sent nor to be had."""

_KNOWN: Final = frozenset({"given", "null", "fetched"})
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
        """Whether the reason is shown to the clinician."""
        return bool(self.reason) and self.template.policy.if_missing != "omit"


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

    @cached_property
    def gaps(self) -> tuple[KeyState, ...]:
        """The keys for which a FHIR server should be asked."""
        return tuple(state for state in self.states if state.is_gap)

    @cached_property
    def refusals(self) -> tuple[Refusal, ...]:
        """The keys that are not known or known only in part, for the reasons that the answer gives."""
        is_reported = (state for state in self.states if state.is_reported)
        return (
            *self.other,
            *(Refusal(f"prefetch.{state.template.key}", state.reason, _sentence_of(state)) for state in is_reported),
        )

    @cached_property
    def note(self) -> str | None:
        """The line of a card that everything can change, about data that was not available; None where all was."""
        return self.note_about(None)

    def note_about(self, reads: frozenset[str] | None) -> str | None:
        """Returns the same of a card that only these analytes and resource types can change (None: everything)."""
        reported = [
            state for state in self.states if state.is_reported and (reads is None or state.template.brings & reads)
        ]
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
        """The state with these keys, made once for each reason; the state of a usual call is kept, and what follows.

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
            LookupError: The service does not declare it as required (`Needs.of(required=…)`), where its name is checked
                against the service's prefetch keys.
        """
        if not self.states:
            return  # called without prefetch
        required_state = next(
            (state for state in self.states if state.template.key == key and state.template.policy.required), None
        )
        if required_state is None:
            declared = ", ".join(state.template.key for state in self.states if state.template.policy.required)
            raise LookupError(f"prefetch key {key!r} is not declared as required by the service; declared: {declared}")
        if not required_state.is_known and not _is_there(required_state):
            raise PreconditionFailed(
                f"prefetch.{key} ({required_state.template.words}) is required and missing: {required_state.text}. "
                "Send it under this key of GET /cds-services (null if there is none), or a fhirServer with a token "
                "that may read it.",
                f"prefetch.{key}",
            )


class Templates(tuple[Template, ...]):
    """The templates of one service, in the order in which they are published.

    `state_by_pattern` remembers the state of calls that bring every key, by which keys are empty: at most `MOST_STATES`
    of them (without it a call of a sample takes 14 % longer).
    """

    state_by_pattern: "dict[str, PrefetchState]"

    def __new__(cls, templates: Iterable[Template] = ()) -> "Templates":
        """The templates in the order in which they are published (TOK-15 gives it meaning).

        ValueError where one needs a key that does not stand before it, or goes through what is not read.
        """
        checked = super().__new__(cls, templates)
        checked.state_by_pattern = {}
        before: dict[str, Template] = {}
        for template in checked:
            check_template(template, before, checked)
            before[template.key] = template
        return checked

    def for_protocol(self, version: str) -> "Templates":
        """Returns those that a client of this version of CDS Hooks is asked for."""
        if version.startswith(TOKENS_OF_3):
            return self
        return Templates(template for template in self if not template.is_of_3)

    def read_for_protocol(self, version: str) -> "Templates":
        """Those that are answered in a call of such a client: what it cannot be asked for may be read all the same."""
        if version.startswith(TOKENS_OF_3):
            return self
        return Templates(template for template in self if not template.is_of_3 or template.is_always_read)


MOST_STATES: Final = 4096

NO_PREFETCH: Final = PrefetchState(())
"""For a service that is called without prefetch, as in tests."""


def _is_there(state: KeyState) -> bool:
    # Under a key of the client's own resources of the type came: what was asked for cannot be seen, but 412 is for
    # data that is absent, not for data that does not suffice (TRAP-07).
    return state.cause == "not-recognised"


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
    """The same cards, each with what could not be had as the last line of its detail, where that could change it.

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
