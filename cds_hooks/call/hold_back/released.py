"""What may show cards at one moment: which services and clients are off, and the state of rules, models and equations.

`governance/releases.py` makes it of the acts on record; a call takes one `Released` and uses it to its end, so that no
answer mixes two states.
"""

import hmac
from collections.abc import Callable, Collection, Mapping
from typing import Final, Literal

from msgspec import Struct, field

from cards.rules.engine.governance import SHADOW, SWITCHED_OFF
from fhir.record.refusals import WhyNot

Key = tuple[str, str]
"""Kind and name: of a terminology the name of its index."""
CANARY: Final = "canary"
KNOWLEDGE: Final = "knowledge"
TERMINOLOGY: Final = "terminology"
SPEAKING: Final = frozenset({CANARY, "active"})
"""The states in which something may show cards."""
_PARTS: Final = 100


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


class Released(Struct, frozen=True):
    """What may show cards, at one moment; never changed afterwards."""

    states: Mapping[Key, State] = field(default_factory=dict)
    versions: Mapping[Key, str] = field(default_factory=dict)
    """The versions that this server has: what was released in another version is computed and not shown."""

    @property
    def words(self) -> dict[str, str]:
        """The state of each thing that has one."""
        states = {key: state for key, state in self.states.items() if key[0] != TERMINOLOGY}
        return {" ".join(key): state.words for key, state in states.items()}

    @property
    def terminologies(self) -> list[str]:
        """The indexes that were put in force and not taken back, the one in force last."""
        return [name for kind, name in self.states if kind == TERMINOLOGY]

    def why_off(self, service: str, client: str) -> str | None:
        """Return why nothing is computed for this call; None where it is answered."""
        if not self.states:
            return None
        for key in (("service", service), ("client", client)):
            state = self.states.get(key)
            if state is not None and state.state == "off":
                return f"The {key[0]} {key[1]} is switched off: {state.why}."
        return None

    def silent_mode(self, client: str, units: Callable[[], Collection[str]], user: str | None) -> str | None:
        """Why this caller is shown nothing; None where cards are shown. `units` gives the patient's care units."""
        if not self.states:
            return None
        names = {"client": [client], "user": [user] if user else []}
        if any(kind == "unit" for kind, _ in self.states):
            names["unit"] = list(units())
        for kind, kind_names in names.items():
            for name in kind_names:
                state = self.states.get((kind, name))
                if state is not None and state.state == "shadow":
                    return f"Silent mode for the {kind}: {state.why}."
        return None

    def why_withheld(self, kind: str, name: str, client: str, patient: str) -> WhyNot | None:
        """Return why this rule, model or equation shows nothing to this patient; None where it does."""
        state = self.states.get((kind, name))
        if state is None:
            if kind == KNOWLEDGE and (kind, name) in self.versions:
                text = f"The published artifact {name} is computed and not shown: two people have not released it."
                return WhyNot(name, SHADOW, text)
            return None
        served = self.versions.get((kind, name), state.version)
        if state.state in SPEAKING and state.version and state.version != served:
            text = f"The {kind} {name} is computed and not shown: another version is served than was released."
            return WhyNot(name, SHADOW, text)
        if state.state == "active":
            return None
        if state.state == CANARY:
            if in_canary(state, client, patient):
                return None
            text = f"The {kind} {name} is tried with {state.share} in 100 patients, and this one is not among them."
            return WhyNot(name, CANARY, text)
        reason = SHADOW if state.state == "shadow" else SWITCHED_OFF
        words = {"off": "switched off", "shadow": "computed and not shown", "retired": "retired"}[state.state]
        return WhyNot(name, reason, f"The {kind} {name} is {words} here: {state.why}.")


def words_name(service: str, digest: str) -> str:
    """Return under what name the approval of a service's words stands among those of a site."""
    return f"service {service} {digest}"


def in_canary(state: State, client: str, patient: str) -> bool:
    """Return whether a canary shows cards for this patient: always for the same ones, for more with a larger share.

    The key is the salt of the act, so that all workers and machines choose the same patients.
    """
    digest = hmac.digest(bytes.fromhex(state.salt), f"{client}\0{patient}".encode(errors="surrogatepass"), "sha256")
    return int.from_bytes(digest[:8], "big") % _PARTS < state.share
