"""What may show cards now: which services and clients are off, and the release state of rules, models and equations.

Each change is an act: an event of the record, in its hash chain, read by every worker of every machine twice a second.
Behind a trust file an act counts only with signatures of the site's people: one is enough to silence (off, shadow,
retired), two people in two roles are needed to let something show cards (on, canary, active).

A call takes `current` once and uses it to its end, so that no answer mixes two states.
"""

import asyncio
import hmac
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import Struct, field
from sqlalchemy import select

from cards.card import Card
from cards.rules.engine.finding import Finding, Silence
from cards.rules.engine.governance import SHADOW, SWITCHED_OFF, SuppressionCheck
from cds_hooks.hold_back.acts import Act, verified_act
from cds_hooks.hold_back.people import People
from cds_hooks.hold_back.statements import ApprovalRefused
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.entries import NO_ENTRY_BEFORE, event_hash
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import events
from models_onnx.artifact.folder import VERSION_SIGN

EVENT: Final = "release-act"
PAUSE_EVENT: Final = "auto-pause"
PAUSED: Final = "paused"
MOST_NOT_APPLICABLE: Final = 0.3
"""Over this share (0 to 1) of answers that say "not applicable" a rule or service is paused (responsible-ai.md 4.2)."""
ROLLBACK_EVENT: Final = "automatic-rollback"
CANARY: Final = "canary"
SILENT_MODE: Final = "silent-mode"
_WHO: Final = ("client", "unit", "user")
"""Who can be in silent mode: for them everything is computed and recorded, and nothing is shown."""
READ_SECONDS: Final = 0.4
"""Time between two readings: an act is in effect within a second everywhere."""
_PARTS: Final = 100
_QUIET: Final = frozenset({"off", "shadow", "retired"})
_SPEAKING: Final = frozenset({CANARY, "active"})
_AFTER: Final = {CANARY: (SHADOW, CANARY), "active": (CANARY,), "on": ("off",)}
"""From which state alone something comes to another one; the other states can follow any."""

_NOT_TRIED: Final = "not tried yet"

_Event = TypeVar("_Event", "Pause", "Rollback")

Key = tuple[str, str]
"""Kind (service, client, unit, user, rule, model, equation) and name."""


class State(Struct, frozen=True):
    """The state of one thing since its last act; `share` is the per cent of the patients of a canary."""

    state: Literal["off", "shadow", "canary", "active", "retired"]
    why: str = ""
    share: int = 100
    salt: str = ""
    version: str = ""
    before: "State | None" = None
    """The state to which something that is switched on again comes back."""

    @property
    def words(self) -> str:
        """State, share and version, for what is in force."""
        share = f" {self.share} %" if self.state == CANARY else ""
        return f"{self.state}{share}{f' {self.version}' if self.version else ''}"


class Pause(Struct, frozen=True):
    """A server paused a rule or service, because hardly any of its cards was accepted, or because it does not fit.

    `at` is an ISO time; `least_share` is the share (0 to 1) of accepted cards that would have been enough. Where
    `not_applicable` is not 0, so many of `answered` answers said "not applicable", and that is the reason.
    """

    kind: Literal["rule", "service"]
    name: str
    at: str
    cards: int
    accepted: int
    least_share: float
    answered: int = 0
    not_applicable: int = 0

    @property
    def words(self) -> str:
        """Since when and why, for a list and for what is in force."""
        if self.not_applicable:
            said = f"{self.not_applicable} of {self.answered} answers said that it does not fit the patient"
            return f"paused since {self.at[:10]}: {said}, over {100 * MOST_NOT_APPLICABLE:g} in 100"
        return (
            f"paused since {self.at[:10]}: {self.accepted} of {self.cards} cards were accepted, "
            f"under {100 * self.least_share:g} in 100"
        )

    @property
    def silence(self) -> Silence:
        """The reason against a card."""
        return Silence(self.name, PAUSED, f"The {self.kind} {self.name} is {self.words}.")


class Rollback(Struct, frozen=True):
    """A monitor took something that was tried back to shadow. It can only silence, so no person signs it."""

    kind: Literal["rule", "model", "equation"]
    name: str
    at: str
    why: str


class Released(Struct, frozen=True):
    """What may show cards, at one moment; never changed afterwards."""

    states: Mapping[Key, State] = field(default_factory=dict)
    versions: Mapping[Key, str] = field(default_factory=dict)
    """The versions that this server has: what was released in another version is computed and not shown."""
    paused: Mapping[Key, Pause] = field(default_factory=dict)
    """What hardly anybody accepted: only its critical cards are shown, until a person ends it."""

    @property
    def words(self) -> dict[str, str]:
        """The state of each thing that has one, and each pause."""
        paused = {f"pause of {each.kind} {each.name}": each.words for each in self.paused.values()}
        return {" ".join(key): state.words for key, state in self.states.items()} | paused

    def why_off(self, service: str, client: str) -> str | None:
        """Why nothing is computed for this call; None where it is answered."""
        if not self.states:
            return None
        for key in (("service", service), ("client", client)):
            found = self.states.get(key)
            if found is not None and found.state == "off":
                return f"The {key[0]} {key[1]} is switched off: {found.why}."
        return None

    def silent_mode(self, client: str, units: Callable[[], Collection[str]], user: str | None) -> str | None:
        """Why this caller is shown nothing; None where cards are shown. `units` gives the patient's care units."""
        if not self.states:
            return None
        names = {"client": [client], "user": [user] if user else []}
        if any(kind == "unit" for kind, _ in self.states):
            names["unit"] = list(units())
        for kind, each in names.items():
            for name in each:
                found = self.states.get((kind, name))
                if found is not None and found.state == "shadow":
                    return f"Silent mode for the {kind}: {found.why}."
        return None

    def why_withheld(self, kind: str, name: str, client: str, patient: str) -> Silence | None:
        """Why this rule, model or equation shows nothing to this patient; None where it does."""
        found = self.states.get((kind, name))
        if found is None:
            return None
        served = self.versions.get((kind, name), found.version)
        if found.state in _SPEAKING and found.version and found.version != served:
            text = f"The {kind} {name} is computed and not shown: another version is served than was released."
            return Silence(name, SHADOW, text)
        if found.state == "active":
            return None
        if found.state == CANARY:
            if in_canary(found, client, patient):
                return None
            text = f"The {kind} {name} is tried with {found.share} in 100 patients, and this one is not among them."
            return Silence(name, CANARY, text)
        reason = SHADOW if found.state == "shadow" else SWITCHED_OFF
        words = {"off": "switched off", "shadow": "computed and not shown", "retired": "retired"}[found.state]
        return Silence(name, reason, f"The {kind} {name} is {words} here: {found.why}.")

    def narrow(self, policy: SuppressionCheck, client: str, patient: str) -> SuppressionCheck:
        """The policy, which also withholds the rules that may show no cards or are paused."""
        if not any(kind == "rule" for kind, _ in (*self.states, *self.paused)):
            return policy

        def check(finding: Finding) -> Silence | None:
            withheld = self.why_withheld("rule", finding.rule, client, patient)
            return withheld or self._paused(finding.rule, finding.indicator) or policy(finding)

        return check

    def _paused(self, rule: str, indicator: str) -> Silence | None:
        pause = self.paused.get(("rule", rule))
        return pause.silence if pause is not None and indicator != "critical" else None

    def without_paused(self, cards: Sequence[Card], service: str) -> tuple[list[Card], list[Silence]]:
        """The cards that a pause of the service does not hold back: critical ones, and those of rules."""
        pause = self.paused.get(("service", service))
        if pause is None:
            return list(cards), []
        shown = [card for card in cards if card.indicator == "critical" or card.own_extension.findings]
        return shown, [pause.silence] * (len(cards) - len(shown))

    def without_withheld(self, cards: Sequence[Card], client: str, patient: str) -> tuple[list[Card], list[Silence]]:
        """The cards of models and equations that may be shown, and the reason against each of the others."""
        shown: list[Card] = []
        silences: list[Silence] = []
        for card in cards:
            name = (card.own_extension.model or {}).get("id", "")
            withheld = self.why_withheld("model", name, client, patient) or self.why_withheld(
                "equation", name, client, patient
            )
            if withheld is None:
                shown.append(card)
            else:
                silences.append(withheld)
        return shown, silences


def in_canary(state: State, client: str, patient: str) -> bool:
    """Whether a canary shows cards for this patient: always for the same ones, for more with a larger share.

    The key is the salt of the act, so that all workers and machines choose the same patients.
    """
    digest = hmac.digest(bytes.fromhex(state.salt), f"{client}\0{patient}".encode(errors="surrogatepass"), "sha256")
    return int.from_bytes(digest[:8], "big") % _PARTS < state.share


class Releases:
    """The acts of one record, and what follows from them."""

    def __init__(self, people: Callable[[], People] | None, versions: Mapping[Key, str] | None = None) -> None:
        """`people` gives those whose signatures count; None in the development profile, where none are needed.

        `versions` are those of the rules, models and equations that this server has.
        """
        self._people = people
        self._versions = versions or {}
        self.current = Released(versions=self._versions)
        """What may show cards now; replaced as a whole."""
        self.refused: list[str] = []
        self.acts: list[Act] = []
        """The acts that count, in the order of the record."""
        self.resumed: Mapping[Key, float] = {}
        """When a person ended a pause (epoch seconds): what was counted before counts no more."""
        self.changed_at: dict[Key, float] = {}
        """When something changed the last time (epoch seconds), by an act, a pause or a rollback that took effect."""
        self._sequence, self._position, self._hash = 0, 0, NO_ENTRY_BEFORE
        self._read_to = 0
        self._waiting: dict[tuple[Any, ...], Act] = {}

    def read(self, url: str) -> None:
        """Takes the acts that are new; RecordUnavailable where the record cannot be read."""
        query = select(events).order_by(events.c.sequence).limit(500)
        states, paused = dict(self.current.states), dict(self.current.paused)
        while rows := read_rows(url, query.where(events.c.sequence > self._sequence)):
            for row in rows:
                self._take(row._mapping, states, paused)
        if states != self.current.states or paused != self.current.paused:
            self.current = Released(states, self._versions, paused)
        self._read_to = self._sequence

    @property
    def read_to(self) -> int:
        """The number of the last event that `current`, where it is looked at afterwards, takes into account."""
        return self._read_to

    async def keep_reading(self, url: str) -> None:
        """Takes what is new until cancelled."""
        while True:
            with suppress(RecordUnavailable):  # the record says so itself, to every call
                await asyncio.to_thread(self.read, url)
            await asyncio.sleep(READ_SECONDS)

    def _take(self, row: Mapping[Any, Any], states: dict[Key, State], paused: dict[Key, Pause]) -> None:
        before, at = self._hash, self._position
        self._sequence, self._position, self._hash = row["sequence"], row["position"], bytes(row["hash"])
        if row["kind"] not in (EVENT, PAUSE_EVENT, ROLLBACK_EVENT):
            return
        try:
            if row["position"] != at + 1 or bytes(row["previous"]) != before:
                raise ApprovalRefused("it does not follow the entry before it")
            if event_hash(before, row["position"], row) != self._hash:
                raise ApprovalRefused("it was changed after it was written")
            if row["kind"] == PAUSE_EVENT:
                pause = _said(row["detail"], Pause)
                paused[pause.kind, pause.name] = pause
                self.changed_at[pause.kind, pause.name] = row["at"] / 1e6
                return
            if row["kind"] == ROLLBACK_EVENT:
                rollback = _said(row["detail"], Rollback)
                _take_back(rollback, states)
                self.changed_at[rollback.kind, rollback.name] = row["at"] / 1e6
                return
            act = verified_act(row["detail"], self._people() if self._people is not None else None)
            if (fault := why_not_allowed(states, act.kind, act.name, act.state, paused)) is not None:
                raise ApprovalRefused(fault)
        except ApprovalRefused as fault:
            self.refused.append(f"entry {row['position']} of the record does not count: {fault}")
            return
        if not self._counts(act):
            return
        self.acts.append(act)
        key = (act.kind, act.name)
        self.changed_at[key] = row["at"] / 1e6
        if act.state == "on" and key in paused:
            del paused[key]
            self.resumed = {**self.resumed, key: row["at"] / 1e6}
        else:
            _apply(act, states)

    def _counts(self, act: Act) -> bool:
        """Whether the act takes effect: letting something show cards waits for a second person in another role."""
        if self._people is None or act.state in _QUIET:
            self._waiting = {key: one for key, one in self._waiting.items() if key[:2] != (act.kind, act.name)}
            return True
        subject = (act.kind, act.name, act.version, act.state, act.share)
        first = self._waiting.get(subject)
        if first is None or first.by == act.by or first.role.casefold() == act.role.casefold():
            self._waiting[subject] = first or act
            return False
        del self._waiting[subject]
        return True

    def waiting_for_second(self) -> list[Act]:
        """The acts that one person has signed and that need another one."""
        return list(self._waiting.values())


def _said(detail: str, kind: type[_Event]) -> _Event:
    try:
        return msgspec.json.decode(detail, type=kind)
    except msgspec.MsgspecError as error:
        raise ApprovalRefused(f"it is no {kind.__name__.lower()}") from error


def _take_back(rollback: Rollback, states: dict[Key, State]) -> None:
    """To shadow, where it shows cards by an act; what a person switched off meanwhile stays as it is."""
    key = (rollback.kind, rollback.name)
    known = states.get(key)
    if known is not None and known.state in _SPEAKING:
        states[key] = msgspec.structs.replace(known, state=SHADOW, why=rollback.why)


def why_not_allowed(
    states: Mapping[Key, State], kind: str, name: str, to: str, paused: Collection[Key] = ()
) -> str | None:
    """Why something cannot come to this state now, in a sentence; None where it can.

    To switch on what a server has paused (`paused`) ends the pause.
    """
    if to == "on" and (kind, name) in paused:
        return None
    allowed = {"service": ("off", "on"), "client": ("off", "on", "shadow"), "unit": ("on", "shadow")}
    allowed["user"] = allowed["unit"]
    if kind in allowed and to not in allowed[kind]:
        return f"a {kind} can be {' or '.join(allowed[kind])}; {to} is a state of rules, models and equations"
    known = states.get((kind, name))
    now = known.state if known is not None else _NOT_TRIED if _is_beside(kind, name) else "active"
    if kind in _WHO and to == "on" and now == "shadow":
        return None
    if to in _AFTER and now not in _AFTER[to]:
        return f"the {kind} {name} is {now} and cannot become {to}: {to} comes after {' or '.join(_AFTER[to])}"
    return None


def _is_beside(kind: str, name: str) -> bool:
    """Whether this is a version of a model that is not the one in use: without an act it does nothing."""
    return kind == "model" and VERSION_SIGN in name


def _apply(act: Act, states: dict[Key, State]) -> None:
    key = (act.kind, act.name)
    known = states.get(key)
    if act.state == "on":
        before = states.pop(key).before
        if before is not None:
            states[key] = before
        return
    if act.state == "off":
        before = known.before if known is not None and known.state == "off" else known
        states[key] = State("off", act.why, before=before)
        return
    salt = known.salt if known is not None and known.salt else act.salt
    states[key] = State(act.state, act.why, act.share, salt, act.version)
