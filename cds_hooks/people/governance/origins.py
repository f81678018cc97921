"""Explains the reasons of a recorded decision for which something was held back: the check, and the act behind it."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from msgspec import Struct

from cds_hooks.call.hold_back.reasons import REASONS, SUPPRESSED, Reason
from cds_hooks.call.hold_back.released import CANARY, KNOWLEDGE
from cds_hooks.people.governance.releases import Origin, Releases
from fhir.record.refusals import WhyNot


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
    releases = acts_then() if reasons else None
    return [_explained(silence, service, client, releases) for silence in reasons if releases is not None]


def _explained(silence: WhyNot, service: str, client: str, releases: Releases) -> HeldBack:
    """Return the first check that may have given the reason: one that goes by an act only where there is that act."""
    checks = [reason for reason in REASONS if silence.reason in reason.codes]
    origins = ((check, _origin(check, silence.subject, service, client, releases)) for check in checks)
    check, origin = next(((check, act) for check, act in origins if act is not None), (checks[-1], Origin()))
    since = datetime.fromtimestamp(origin.at, UTC).isoformat(timespec="seconds") if origin.at else ""
    lets_through = check.lets_through.replace("NAME", silence.subject)
    return HeldBack(silence.subject, silence.reason, silence.text, check.title, since, origin.by, lets_through)


def _origin(check: Reason, subject: str, service: str, client: str, releases: Releases) -> Origin | None:
    """Return what changed the first thing that the check goes by last; None where nothing is in such a state."""
    states = releases.current.states
    keys = list[tuple[str, str]]()
    match check.act:
        case None:
            return Origin()
        case "switch":
            keys = [("service", service), ("client", client)] if subject == service else []
            wanted: tuple[str, ...] = ("off",)
        case "release":
            keys = [(kind, subject) for kind in ("rule", "model", "equation", KNOWLEDGE)]
            wanted = ("off", "retired", "shadow", CANARY)
        case "silent-mode":  # which of several users or units it was is not known
            others = [key for key in states if key[0] in ("unit", "user")]
            keys, wanted = [("client", client), *(others if len(others) == 1 else ())], ("shadow",)
    found = (releases.changes.get(key, Origin()) for key in keys if key in states and states[key].state in wanted)
    return next(found, Origin() if check.act == "silent-mode" else None)
