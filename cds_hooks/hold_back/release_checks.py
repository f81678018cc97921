"""Checks of what people, a server or a monitor decided: switched off, shadow, canary, silent mode, paused."""

from collections.abc import Collection, Iterable
from typing import Final

from cards.card import Card
from cards.rules.engine.finding import Finding, Silence
from cards.rules.engine.governance import SHADOW, SWITCHED_OFF
from cds_hooks.hold_back.acts import Key, Pause
from cds_hooks.hold_back.checks import ActsThen, Check, CheckedCall, Reason
from cds_hooks.hold_back.releases import CANARY, Origin

SILENT_MODE: Final = "silent-mode"
PAUSED: Final = "paused"


class SwitchedOff(Check):
    """The service or the client is off. Asked before anything is read (`Released.why_off`)."""

    codes = (SWITCHED_OFF,)
    level = "call"
    title = "The service or the client is switched off"
    lets_through = 'An act of release: cds-hooks release set on service NAME --why "…", or of the client.'

    @classmethod
    def origin(cls, subject: str, acts: ActsThen) -> Origin | None:
        """Returns the act that switched the service or the client off."""
        if subject != acts.service:
            return None
        return _last_act(acts, (("service", acts.service), ("client", acts.client)), ("off",))


class ReleaseState(Check):
    """The rule, model or equation is off, retired, in shadow, or tried with other patients."""

    codes = (SWITCHED_OFF, SHADOW, CANARY)
    title = "The release state of the rule, model or equation"
    lets_through = (
        "An act of release about NAME: cds-hooks release set on, canary or activate (docs/operations/release.md)."
    )

    def is_idle(self, call: CheckedCall) -> bool:
        """Returns whether there is no act of release."""
        return not call.released.states

    def check_finding(self, finding: Finding, call: CheckedCall) -> Silence | None:
        """Returns why the rule shows nothing to this patient."""
        return call.released.why_withheld("rule", finding.rule, call.caller.client, call.caller.patient)

    async def check(self, card: Card, call: CheckedCall) -> Reason | None:
        """Returns why the model or equation shows nothing to this patient."""
        name, caller = (card.own_extension.model or {}).get("id", ""), call.caller
        for kind in ("model", "equation"):
            silence = call.released.why_withheld(kind, name, caller.client, caller.patient)
            if silence is not None:
                return Reason(silence)
        return None

    @classmethod
    def origin(cls, subject: str, acts: ActsThen) -> Origin | None:
        """Returns the act or rollback that brought it into this state."""
        keys = ((kind, subject) for kind in ("rule", "model", "equation"))
        return _last_act(acts, keys, ("off", "retired", "shadow", CANARY))


class SilentMode(Check):
    """The client, care unit or user is shown nothing."""

    codes = (SILENT_MODE,)
    title = "Silent mode of the client, care unit or user"
    lets_through = 'An act of release: cds-hooks release set on client CLIENT --why "…", or of the unit or user.'
    is_said_once = True

    def is_idle(self, call: CheckedCall) -> bool:
        """Returns whether the caller is shown cards."""
        return call.silent is None

    async def check(self, card: Card, call: CheckedCall) -> Reason | None:  # noqa: ARG002 - it holds back every card
        """Holds back every card of the call."""
        return Reason(Silence(call.caller.service, SILENT_MODE, call.silent)) if call.silent is not None else None

    @classmethod
    def origin(cls, subject: str, acts: ActsThen) -> Origin | None:  # noqa: ARG003 - it is about the caller
        """Returns the act that began it; not known where it may be one of several users or units."""
        other_keys = [key for key in acts.releases.current.states if key[0] in ("unit", "user")]
        keys = [("client", acts.client), *(other_keys if len(other_keys) == 1 else ())]
        return _last_act(acts, keys, ("shadow",)) or Origin()


class Paused(Check):
    """A server paused the rule or service for this client (`auto_pause.py`). Only information is held back."""

    codes = (PAUSED,)
    title = "A pause: hardly any card was accepted, or the advice does not fit the patients"
    lets_through = 'An act of release ends it: cds-hooks release set on rule NAME --why "…", or of the service.'

    def is_idle(self, call: CheckedCall) -> bool:
        """Returns whether nothing is paused."""
        return not call.released.paused

    def check_finding(self, finding: Finding, call: CheckedCall) -> Silence | None:
        """Returns why a finding of a paused rule is not shown."""
        pause = call.released.paused.get(("rule", finding.rule, call.caller.client))
        return _silence(pause) if pause is not None and finding.indicator == "info" else None

    async def check(self, card: Card, call: CheckedCall) -> Reason | None:
        """Returns why a card of a paused service is not shown."""
        pause = call.released.paused.get(("service", call.caller.service, call.caller.client))
        if pause is None or card.indicator != "info" or card.own_extension.findings:
            return None
        return Reason(_silence(pause))

    @classmethod
    def origin(cls, subject: str, acts: ActsThen) -> Origin | None:
        """Returns the pause."""
        places = ((kind, subject, acts.client) for kind in ("rule", "service"))
        paused = (acts.releases.current.paused.get(place) for place in places)
        pause = next((paused_thing for paused_thing in paused if paused_thing is not None), None)
        return acts.releases.changes[pause.key] if pause is not None else Origin()


def _silence(pause: Pause) -> Silence:
    return Silence(pause.name, PAUSED, pause.sentence)


def _last_act(acts: ActsThen, keys: Iterable[Key], states: Collection[str]) -> Origin | None:
    """Returns what changed the first of these that is in one of the states; None where none is."""
    for key in keys:
        state = acts.releases.current.states.get(key)
        if state is not None and state.state in states:
            return acts.releases.changes.get(key, Origin())
    return None
