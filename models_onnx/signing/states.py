"""From draft to retired: which state may follow which, and what it takes."""

from collections.abc import Sequence

import msgspec

from models_onnx.errors import NotReleased
from models_onnx.signing.release import Release, Step

STATES = ("draft", "validated", "approved", "shadow", "active", "retired")

# responsible-ai.md 5.5; back from active to shadow is how a site stops cards and goes on measuring.
_NEXT = {
    "draft": ("validated", "retired"),
    "validated": ("approved", "draft", "retired"),
    "approved": ("shadow", "active", "validated", "retired"),
    "shadow": ("active", "approved", "retired"),
    "active": ("shadow", "retired"),
    "retired": (),
}
# What a model may show cards in, at a site that asks for no more than a state.
SHOWING = ("validated", "approved", "active")
# Gates about the file itself, the figures and the papers: without them nothing is validated.
FOR_VALIDATED = frozenset({"G1", "G2", "G3", "G4", "G5", "G6", "G7", "G14"})
APPROVERS = 2


def moved(release: Release, steps: Sequence[Step]) -> Release:
    """The release after these steps, unsigned; NotReleased by the reason where one is not allowed.

    `approved` takes two steps: two people in two roles, given together.
    """
    target = steps[0].state
    _refuse_wrong_order(release, target)
    if target == "approved":
        _refuse_few_approvers(steps)
    _refuse_red(release, target)
    return msgspec.structs.replace(release, state=target, history=(*release.history, *steps), signature="")


def state_after_gates(release: Release) -> str:
    """Where a new gate report puts a release: a draft whose file, figures and papers are in order is validated; one
    that had come further and turned red goes back to validated, or to draft."""
    red = set(release.gates.red) if release.gates is not None else set(FOR_VALIDATED)
    if release.state == "retired":
        return release.state
    if red & FOR_VALIDATED:
        return "draft"
    return "validated" if red or release.state == "draft" else release.state


def shows_cards(release: Release, least: str = "validated") -> bool:
    """Whether its cards may be shown: a showing state, not below `least`, and every gate green or waived."""
    return why_no_cards(release, least) is None


def why_no_cards(release: Release, least: str = "validated") -> str | None:
    """Why its cards are not shown, in one sentence; None where they are."""
    if release.gates is None:
        return f"{release.id} {release.version}: no gate report is part of the release"
    if release.gates.red:
        return f"{release.id} {release.version} is held at {release.state}: {', '.join(release.gates.red)} not green"
    if release.state not in SHOWING or STATES.index(release.state) < STATES.index(least):
        return f"{release.id} {release.version} is {release.state}; cards are shown from {least} on, not in shadow"
    return None


def _refuse_wrong_order(release: Release, target: str) -> None:
    if target not in STATES:
        raise NotReleased(f"{target!r} is no state; there are: {', '.join(STATES)}")
    if target not in _NEXT[release.state]:
        following = ", ".join(_NEXT[release.state]) or "nothing"
        raise NotReleased(f"{release.id} is {release.state}; from there it goes to {following}, not to {target}")


def _refuse_few_approvers(steps: Sequence[Step]) -> None:
    people, roles = {step.by for step in steps}, {step.role for step in steps}
    if len(people) < APPROVERS or len(roles) < APPROVERS:
        raise NotReleased("approval takes two people in two different roles: give --by and --role twice")


def _refuse_red(release: Release, target: str) -> None:
    if target in ("draft", "retired"):
        return
    if release.gates is None:
        raise NotReleased(f"{release.id} has no gate report: cds-hooks model gates {release.id} --record")
    red = set(release.gates.red)
    held = red & FOR_VALIDATED if target == "validated" else red
    if held:
        names = ", ".join(sorted(held, key=lambda gate: int(gate[1:])))
        raise NotReleased(f"{release.id} {release.version} may not become {target}: {names} not green")
