"""Which state of a release may follow which, and what it takes (responsible-ai.md 5.5)."""

from collections.abc import Sequence

import msgspec

from models_onnx.artifact.release_file import STATES, Release, ReleaseStep
from models_onnx.errors import NotReleased

# responsible-ai.md 5.5; back from active to shadow is how a site stops cards and goes on measuring.
_NEXT = {
    "draft": ("validated", "retired"),
    "validated": ("approved", "draft", "retired"),
    "approved": ("shadow", "active", "validated", "retired"),
    "shadow": ("active", "approved", "retired"),
    "active": ("shadow", "retired"),
    "retired": (),
}
# Gates about the file itself, the figures and the papers: without them nothing is validated.
GATES_FOR_VALIDATED = frozenset({"G1", "G2", "G3", "G4", "G5", "G6", "G7", "G14"})
APPROVERS = 2


def apply_steps(release: Release, steps: Sequence[ReleaseStep]) -> Release:
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
    """The state of a release after a new gate report.

    A draft whose file, figures and papers are in order is validated; one that had come further and turned red goes back
    to validated, or to draft.
    """
    red = set(release.gates.red) if release.gates is not None else set(GATES_FOR_VALIDATED)
    if release.state == "retired":
        return release.state
    if red & GATES_FOR_VALIDATED:
        return "draft"
    return "validated" if red or release.state == "draft" else release.state


def _refuse_wrong_order(release: Release, target: str) -> None:
    if target not in STATES:
        raise NotReleased(f"{target!r} is no state; there are: {', '.join(STATES)}")
    if target not in _NEXT[release.state]:
        following = ", ".join(_NEXT[release.state]) or "nothing"
        raise NotReleased(f"{release.id} is {release.state}; from there it goes to {following}, not to {target}")


def _refuse_few_approvers(steps: Sequence[ReleaseStep]) -> None:
    people, roles = {step.by for step in steps}, {step.role for step in steps}
    if len(people) < APPROVERS or len(roles) < APPROVERS:
        raise NotReleased("approval takes two people in two different roles: give --by and --role twice")


def _refuse_red(release: Release, target: str) -> None:
    if target in ("draft", "retired"):
        return
    if release.gates is None:
        raise NotReleased(f"{release.id} has no gate report: cds-hooks model gates {release.id} --record")
    red = set(release.gates.red)
    relevant = red & GATES_FOR_VALIDATED if target == "validated" else red
    if relevant:
        names = ", ".join(sorted(relevant, key=lambda gate: int(gate[1:])))
        raise NotReleased(f"{release.id} {release.version} may not become {target}: {names} not green")
