"""What a call has brought of what was asked for: a state for each key, and what follows from all of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import msgspec

from cds_hooks.errors import PreconditionFailed
from cds_hooks.prefetch.template import Template
from fhir.record.refusal import Refusal

State = Literal["given", "null", "failed", "fetched", "unobtainable"]
"""given: the client sent it. null: the client asked and found none. failed: the client could not get it and said so.
fetched: read from the FHIR server, found or not. unobtainable: neither sent nor to be had."""

_KNOWN: Final = frozenset({"given", "null", "fetched"})
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Cost:
    """What reading one key from the FHIR server took; `resources` is how many came."""

    milliseconds: float
    pages: int
    bytes: int
    resources: int


@dataclass(frozen=True, slots=True)
class KeyState:
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
    cost: Cost | None = None

    @property
    def known(self) -> bool:
        """Whether it was asked for and answered: if not, its absence means nothing (TRAP-04)."""
        return self.state in _KNOWN

    @property
    def is_gap(self) -> bool:
        """Whether a FHIR server could still give more of it."""
        return not self.known or self.reason == "old" or self.cause == "next-page"

    @property
    def said(self) -> bool:
        """Whether a clinician is told."""
        return bool(self.reason) and self.template.policy.if_missing != "omit"


@dataclass(frozen=True)
class Brought:
    """The states of all keys of a service in one call; `other` names what came under keys of the client's own."""

    states: tuple[KeyState, ...]
    other: tuple[Refusal, ...] = ()
    milliseconds: float = 0.0
    """Of fetching, from the first query to the last answer."""

    @cached_property
    def known(self) -> frozenset[str]:
        """Resource types and analytes that were asked for, found or not."""
        return frozenset().union(*(each.template.brings for each in self.states if each.known))

    @cached_property
    def gaps(self) -> tuple[KeyState, ...]:
        """What is worth asking a FHIR server for."""
        return tuple(each for each in self.states if each.is_gap)

    @cached_property
    def refusals(self) -> tuple[Refusal, ...]:
        """What is not known, or only in part, by key: for the reasons for silence."""
        said = (each for each in self.states if each.said)
        return (*self.other, *(Refusal(f"prefetch.{each.template.key}", each.reason, _sentence(each)) for each in said))

    @cached_property
    def note(self) -> str | None:
        """The line that each card carries where something was not to be had; None where all was."""
        said = [each for each in self.states if each.said]
        lines = (
            f"**{start}** {_grouped(lacking)}."
            for lack, (start, _) in _SPOKEN.items()
            if (lacking := [each for each in said if _lacks(each) == lack])
        )
        return " ".join(lines) or None

    @cached_property
    def basis(self) -> msgspec.Raw:
        """JSON for the record: by key its state, or an object where there is more to say."""
        return msgspec.Raw(_encode({each.template.key: _recorded(each) for each in self.states}))

    @cached_property
    def summary(self) -> str:
        """Keys and their states, for counting: `patient=given labs=null`."""
        return " ".join(f"{each.template.key}={each.state}" for each in self.states)

    def require(self, key: str) -> None:
        """PreconditionFailed (412) where this key is not known; it says what is missing, why, and what to send."""
        for each in self.states:
            if each.template.key == key and not each.known and not _is_there(each):
                raise PreconditionFailed(
                    f"prefetch.{key} ({each.template.words}) is needed and not there: {each.text}. Send it under this "
                    "key of GET /cds-services (null if there is none), or a fhirServer with a token that may read it.",
                    f"prefetch.{key}",
                )


NOTHING_ASKED: Final = Brought(())
"""For a service that is called without prefetch, as in tests."""


def _is_there(state: KeyState) -> bool:
    # Under a key of the client's own resources of the type came: what was asked for cannot be seen, but 412 is for
    # data that is absent, not for data that does not suffice (TRAP-07).
    return state.cause == "not-recognised"


_SPOKEN: Final = {
    "unknown": ("Checked without", "are not known"),
    "partial": ("Not complete:", "are not complete"),
    "old": ("Not from today:", "are not from today"),
}


def _lacks(state: KeyState) -> str:
    return state.reason if state.known else "unknown"


def _sentence(state: KeyState) -> str:
    words = state.template.words
    return f"{words[0].upper()}{words[1:]} {_SPOKEN[_lacks(state)][1]}: {state.text}."


def _grouped(states: Iterable[KeyState]) -> str:
    """Words of keys with the same reason together: "problems and allergies (not sent by the EHR)"."""
    by_text: dict[str, list[str]] = {}
    for each in states:
        by_text.setdefault(each.text, []).append(each.template.words)
    return ", ".join(f"{_listed(words)} ({text})" for text, words in by_text.items())


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _recorded(state: KeyState) -> Any:
    if not state.reason and state.cost is None:
        return state.state
    found: dict[str, Any] = {"state": state.state}
    if state.reason:
        found |= {"reason": state.reason, "cause": state.cause} if state.cause else {"reason": state.reason}
    if state.cost is not None:
        found |= {
            "milliseconds": state.cost.milliseconds,
            "pages": state.cost.pages,
            "bytes": state.cost.bytes,
            "resources": state.cost.resources,
        }
    return found
