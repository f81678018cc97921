"""How a rule or a model stands at this site now: one function each, which every page and command uses.

The order of the questions is that in which a call asks them (`call/hold_back/checks.py`).
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final, Literal

from msgspec import Struct

from cards.rules.engine.governance import RuleVersion, SiteRules
from cds_hooks.call.hold_back.released import CANARY, Key
from cds_hooks.people.governance.acts import model_subject, rule_subject
from cds_hooks.people.governance.approvals import NEEDED, NOBODY_APPROVES, ApprovalBook
from cds_hooks.people.governance.releases import Origin, Releases
from models_onnx.artifact.release_file import Release, reason_cards_withheld

StateNow = Literal["on", "shadow", "off", "waiting", "refused"]

SIGNS: Final[dict[StateNow, tuple[str, str]]] = {
    "on": ("good", "Shows cards"),
    "shadow": ("none", "In shadow"),
    "off": ("warning", "Off"),
    "waiting": ("warning", "Waiting"),
    "refused": ("critical", "Refused"),
}
"""The mark and the word of each state."""


class Standing(Struct, frozen=True):
    """The state, why in a sentence, since when and by whom ("" where it is not known)."""

    state: StateNow
    text: str
    since: str = ""
    by: str = ""

    @property
    def sign(self) -> tuple[str, str]:
        """The mark and the word of the state."""
        return SIGNS[self.state]


def rule_standing(
    version: RuleVersion,
    site: SiteRules,
    releases: Releases | None = None,
    book: ApprovalBook | None = None,
    *,
    needs_approval: bool,
) -> Standing:
    """Return how a rule stands; `needs_approval` where there is a trust file, `book` has the approvals then."""
    key = ("rule", version.rule.id)
    acted = _by_act(releases, key) if releases is not None else None
    if acted is not None and acted.state != "on":
        return acted
    switches = site.switches.get(version.rule.id, ())
    for switch in switches:
        if switch.off and not switch.clients and not switch.units:
            return Standing("off", f"switched off in the rules file: {switch.note}")
    partly = "; the rules file switches it off in part" if switches else ""
    approval = site.approvals.get(version.rule.id)
    is_approved = approval is not None and approval.digest == version.digest
    if needs_approval and not is_approved:
        subject = rule_subject(version.rule.id, version.digest)
        given = len(book.approvals("rule", subject)) if book is not None else 0
        was = "only another version of it is approved" if approval is not None else "this version is not approved"
        text = f"{was}; {given} of {NEEDED} approvals{partly}"
        return Standing("waiting", text)
    if acted is not None:
        return acted
    if approval is not None and is_approved:
        by, text = f"{approval.by} ({approval.role})", f"this version is approved{partly}"
        return Standing("on", text, str(approval.on), by)
    return Standing("on", f"not approved, and shown as every rule is in the development profile{partly}")


def model_standing(
    release: Release,
    releases: Releases,
    book: ApprovalBook | None,
    lowest_state: str,
    today: date,
    waiver_faults: Iterable[str] = (),
    *,
    name: str = "",
) -> Standing:
    """Return how a model stands; `book` is None where no approval is needed, `lowest_state` is CDS_MODEL_STATE.

    `waiver_faults` say why waivers of its gates are not in force; `name` is that of a version beside the one in use.
    """
    key = ("model", name or release.id)
    withheld = reason_cards_withheld(release)
    if withheld is not None:
        return Standing("refused", withheld)
    acted = _by_act(releases, key)
    if acted is not None and acted.state != "on":
        return acted
    if book is None and lowest_state == "approved":
        return Standing("waiting", NOBODY_APPROVES)
    if book is not None and lowest_state == "approved":
        missing = book.why_not_approved("model", model_subject(release), today)
        if missing is not None:
            return Standing("waiting", missing)
    for fault in waiver_faults:
        return Standing("waiting", fault)
    if acted is not None:
        return acted
    last = release.history[-1] if release.history else None
    since, by = (last.at[:10], f"{last.by} ({last.role})") if last is not None else ("", "")
    return Standing("on", f"released as {release.state}, no gate is red", since, by)


def _by_act(releases: Releases, key: Key) -> Standing | None:
    """Return how an act or a rollback left it; None where there was none."""
    state, origin = releases.current.states.get(key), releases.changes.get(key, Origin())
    since = datetime.fromtimestamp(origin.at, UTC).date().isoformat() if origin.at else ""
    if state is not None:
        if state.state in ("off", "retired"):
            words = "switched off" if state.state == "off" else "retired"
            return Standing("off", f"{words}: {state.why}", since, origin.by)
        if state.state == "shadow":
            return Standing("shadow", f"computed and not shown: {state.why}", since, origin.by)
        served = releases.current.versions.get(key, state.version)
        if state.version and state.version != served:
            text = "another version is served than was released"
            return Standing("shadow", text, since, origin.by)
    if state is None:
        return None
    share = f"shown to {state.share} in 100 patients" if state.state == CANARY else "shown to everybody"
    return Standing("on", f"{share} by an act: {state.why}", since, origin.by)
