"""What may show cards now: which services and clients are off, and the release state of rules, models and equations.

Each change is an act: an event of the record, in its hash chain, read by every worker of every machine twice a second.
Behind a trust file one person, or a command on the machine of the record, is enough to silence (off, shadow, retired);
two people who have logged in, in two roles, are needed to let something show cards (on, canary, active).
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from cards.rules.engine.governance import SHADOW
from cds_hooks.call.hold_back.released import CANARY, KNOWLEDGE, SPEAKING, TERMINOLOGY, Key, Released, State
from cds_hooks.people.access.recorded_acts import ACCOUNT_EVENT
from cds_hooks.people.governance.acts import (
    RELEASE_EVENT,
    ROLLBACK_EVENT,
    SALT,
    Act,
    ActLog,
    ApprovalRefused,
    Entry,
    Rollback,
    Signatories,
)
from models_onnx.artifact.folder import VERSION_SIGN

_WHO: Final = ("client", "unit", "user")
"""Who can be in silent mode: for them everything is computed and recorded, and nothing is shown."""
QUIET: Final = frozenset({"off", "shadow", "retired"})
"""What one person alone can do: nobody is shown anything more by it."""
_AFTER: Final = {CANARY: (SHADOW, CANARY), "active": (CANARY,), "on": ("off",)}
"""From which state alone something comes to another one; the other states can follow any."""
_NOT_TRIED: Final = "not tried yet"


class Origin(Struct, frozen=True):
    """The act or rollback that changed something last: when (epoch seconds), by whom and why; "" if unknown."""

    at: float = 0.0
    by: str = ""
    why: str = ""


class Releases:
    """The acts of one record, and what follows from them."""

    def __init__(self, versions: Mapping[Key, str] | None = None, *, by_two_people: bool = False) -> None:
        """`by_two_people` behind a trust file; in the development profile every act of a command counts.

        `versions` are those of the rules, models and equations that this server has.
        """
        self._by_two_people = by_two_people
        self._versions = versions or {}
        self.current = Released(versions=self._versions)
        """What may show cards now; replaced as a whole."""
        self._log = ActLog((RELEASE_EVENT, ROLLBACK_EVENT, ACCOUNT_EVENT), self._take, self._begin)
        self._begin()

    def _begin(self) -> None:
        self._signatories = Signatories()
        self.acts: list[Act] = []
        """The acts that count, in the order of the record."""
        self.changes: dict[Key, Origin] = {}
        """What changed each thing the last time: an act or a rollback that took effect."""
        self._states: dict[Key, State] = {}
        self._waiting: list[Act] = []

    @property
    def refused(self) -> list[str]:
        """What does not count, a sentence for each."""
        return self._log.refused

    @property
    def lost(self) -> str:
        """A sentence where acts that were in effect are gone from the record, else ""."""
        at = self._log.lost_at
        if at is None:
            return ""
        return (
            f"Entries of the record that were read are gone since {at:%Y-%m-%d %H:%M} UTC: a backup was restored, or a "
            "standby took over. What was switched off, released or approved in them counts no more. Do again what is "
            "missing on the page of approvals, then restart the server."
        )

    def read(self, url: str, until: float = float("inf")) -> None:
        """Take the acts that are new, up to an instant (epoch seconds).

        Raises:
            RecordUnavailable: The record cannot be read.
        """
        try:
            self._log.read(url, until)
        finally:  # what was taken before a fault is in effect, but where the record is read anew: half of it lets speak
            released = Released(dict(self._states), self._versions)
            if released != self.current and not self._log.is_read_anew:
                self.current = released

    def until(self, url: str, at: float) -> "Releases":
        """Return the acts of the record up to that time (epoch seconds), verified in the same way.

        Raises:
            RecordUnavailable: The record cannot be read.
        """
        earlier = Releases(self._versions, by_two_people=self._by_two_people)
        earlier.read(url, at)
        return earlier

    def acts_of(self, key: Key) -> list[Act]:
        """Return the acts about this thing that count, in the order of the record."""
        return [act for act in self.acts if act.key == key]

    def in_shadow_since(self, key: Key) -> str | None:
        """Return the ISO time of the act by which this is in shadow; None where it is not."""
        state = self.current.states.get(key)
        if state is None or state.state != SHADOW:
            return None
        return next((act.at for act in reversed(self.acts_of(key)) if act.state == SHADOW), None)

    def waiting_for_second(self) -> list[Act]:
        """Return the acts of one person that need another one."""
        return list(self._waiting)

    def _take(self, entry: Entry) -> None:
        if entry.kind == ROLLBACK_EVENT:
            self._take_back(entry.read(Rollback), entry.at)
        elif entry.kind == ACCOUNT_EVENT:
            self._signatories.take(entry)
        else:
            self._take_act(self._act(entry), entry.at)

    def _act(self, entry: Entry) -> Act:
        """Return the act of an entry; ApprovalRefused where it is none, or of nobody who may."""
        act = entry.read(Act)
        if not SALT.fullmatch(act.salt) or not 1 <= act.share <= 100:
            raise ApprovalRefused("its share is not 1 to 100, or its salt is not 32 hexadecimal digits")
        if self._by_two_people:
            self._signatories.refuse(entry, act, by_command=act.state in QUIET)
        return act

    def _take_back(self, rollback: Rollback, at: float) -> None:
        """To shadow, where it shows cards by an act; what a person switched off meanwhile stays as it is."""
        state = self._states.get(rollback.key)
        if state is not None and state.state in SPEAKING:
            self._states[rollback.key] = replace(state, state=SHADOW, why=rollback.why)
        self.changes[rollback.key] = Origin(at, "the monitor", rollback.why)

    def _take_act(self, act: Act, at: float) -> None:
        if (fault := why_not_allowed(self._states, act.kind, act.name, act.state)) is not None:
            raise ApprovalRefused(fault)
        if not self._counts(act):
            return
        self.acts.append(act)
        self.changes[act.key] = Origin(at, act.signer, act.why)
        self._apply(act)

    def _counts(self, act: Act) -> bool:
        """Whether the act takes effect: letting something show cards waits for a second person in another role."""
        if not self._by_two_people or act.state in QUIET:
            self._waiting = [waiting for waiting in self._waiting if waiting.key != act.key]
            return True
        first = next((waiting for waiting in self._waiting if waiting.does_the_same_as(act)), None)
        if first is None:
            self._waiting.append(act)
        if first is None or not act.can_second(first):
            return False
        self._waiting.remove(first)
        return True

    def _apply(self, act: Act) -> None:
        present = self._states.get(act.key)
        if act.kind == TERMINOLOGY:
            self._states.pop(act.key, None)  # the one in force is the last
            if act.state == "active":
                self._states[act.key] = State("active", act.why, version=act.version)
        elif act.state == "on":
            before = self._states.pop(act.key).before
            if before is not None:
                self._states[act.key] = before
        elif act.state == "off":
            before = present.before if present is not None and present.state == "off" else present
            self._states[act.key] = State("off", act.why, before=before)
        else:
            salt = present.salt if present is not None and present.salt else act.salt
            self._states[act.key] = State(act.state, act.why, act.share, salt, act.version)


def why_not_allowed(states: Mapping[Key, State], kind: str, name: str, to: str) -> str | None:
    """Return why something cannot come to this state now, in a sentence; None where it can."""
    if kind == TERMINOLOGY:
        if to not in ("active", "off"):
            return f"a {kind} can be active or off; {to} is a state of rules, models and equations"
        is_there = (kind, name) in states
        return f"the {kind} {name} is not active and cannot become off" if to == "off" and not is_there else None
    allowed = {"service": ("off", "on"), "client": ("off", "on", "shadow"), "unit": ("on", "shadow")}
    allowed["user"] = allowed["unit"]
    if kind in allowed and to not in allowed[kind]:
        return f"a {kind} can be {' or '.join(allowed[kind])}; {to} is a state of rules, models and equations"
    state = states.get((kind, name))
    now = state.state if state is not None else _NOT_TRIED if _is_beside(kind, name) else "active"
    if kind in _WHO and to == "on" and now == "shadow":
        return None
    if to in _AFTER and now not in _AFTER[to]:
        return f"the {kind} {name} is {now} and cannot become {to}: {to} comes after {' or '.join(_AFTER[to])}"
    return None


def _is_beside(kind: str, name: str) -> bool:
    """Return whether without an act it does nothing: a version of a model beside the one in use, or a prompt."""
    return kind in {"prompt", KNOWLEDGE} or (kind == "model" and VERSION_SIGN in name)
