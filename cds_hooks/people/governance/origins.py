"""Explains the reasons of a recorded decision for which something was held back: the check, and the act behind it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from cds_hooks.call.hold_back.reasons import REASONS, SUPPRESSED, Reason
from cds_hooks.call.hold_back.released import CANARY, KNOWLEDGE, Key
from cds_hooks.people.governance.releases import Origin, Releases
from fhir.record.refusals import WhyNot


class ActsThen(Struct, frozen=True):
    """The acts up to a decision that is on record, and whose call it was."""

    service: str
    client: str
    releases: Releases


def _act_of_switch(subject: str, acts: ActsThen) -> Origin | None:
    """Return the act that switched the service or the client off."""
    if subject != acts.service:
        return None
    return _last_act(acts, (("service", acts.service), ("client", acts.client)), ("off",))


def _act_of_release(subject: str, acts: ActsThen) -> Origin | None:
    """Return the act or rollback that brought it into this state."""
    keys = ((kind, subject) for kind in ("rule", "model", "equation", KNOWLEDGE))
    return _last_act(acts, keys, ("off", "retired", "shadow", CANARY))


def _act_of_silent_mode(subject: str, acts: ActsThen) -> Origin | None:  # noqa: ARG001 - it is about the caller
    """Return the act that began it; not known where it may be one of several users or units."""
    other_keys = [key for key in acts.releases.current.states if key[0] in ("unit", "user")]
    keys = [("client", acts.client), *(other_keys if len(other_keys) == 1 else ())]
    return _last_act(acts, keys, ("shadow",)) or Origin()


def _last_act(acts: ActsThen, keys: Iterable[Key], states: Collection[str]) -> Origin | None:
    """Return what changed the first of these that is in one of the states; None where none is."""
    for key in keys:
        state = acts.releases.current.states.get(key)
        if state is not None and state.state in states:
            return acts.releases.changes.get(key, Origin())
    return None


_FINDERS: Final[Mapping[str, Callable[[str, ActsThen], Origin | None]]] = {
    "switch": _act_of_switch,
    "release": _act_of_release,
    "silent-mode": _act_of_silent_mode,
}
"""Of each kind of act what finds the act behind a reason about a subject; None where it is another check's reason."""


class HeldBack(Struct, frozen=True):
    """One reason of a decision in words: what was held back, by which check and act, and what would let it through."""

    subject: str
    reason: str
    text: str
    check: str
    since: str
    """When the act behind it was given, as ISO time; "" where it goes by no act that is known."""
    by: str
    lets_through: str


def explain_held_back(
    silences: Iterable[WhyNot], service: str, client: str, acts_then: Callable[[], Releases]
) -> list[HeldBack]:
    """Return the reasons of a decision for which something was held back, each with its check and the act behind it.

    `acts_then` gives the acts up to that decision; it is asked only where something was held back.

    Raises:
        RecordUnavailable: The acts cannot be read.
    """
    reasons = [silence for silence in silences if silence.reason in SUPPRESSED]
    if not reasons:
        return []
    acts = ActsThen(service, client, acts_then())
    return [_explained(silence, acts) for silence in reasons]


def _explained(silence: WhyNot, acts: ActsThen) -> HeldBack:
    reason, origin = next(_origins(silence, acts))
    since = datetime.fromtimestamp(origin.at, UTC).isoformat(timespec="seconds") if origin.at else ""
    lets_through = reason.lets_through.replace("NAME", silence.subject)
    return HeldBack(silence.subject, silence.reason, silence.text, reason.title, since, origin.by, lets_through)


def _origins(silence: WhyNot, acts: ActsThen) -> Iterator[tuple[Reason, Origin]]:
    """Yield each check that may have given the reason, with the act behind it; the first that is asked is the one."""
    reasons = [reason for reason in REASONS if silence.reason in reason.codes]
    for reason in reasons:
        origin = _FINDERS[reason.act](silence.subject, acts) if reason.act is not None else Origin()
        if origin is not None:
            yield reason, origin
    yield reasons[-1], Origin()
