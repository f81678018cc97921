"""From draft to retired: what may follow what, and what it takes."""

import msgspec
import pytest

from models_onnx.artifact.release_file import (
    STATES,
    GateSummary,
    Release,
    ReleaseStep,
    reason_cards_withheld,
)
from models_onnx.errors import NotReleased
from models_onnx.workbench.release.states import apply_steps, state_after_gates

ALL = tuple(f"G{number}" for number in range(1, 19))


def release(state: str = "draft", red: tuple[str, ...] = (), gates: bool = True) -> Release:
    """A release in that state, with these gates red."""
    summary = GateSummary(green=tuple(gate for gate in ALL if gate not in red), red=red) if gates else None
    return Release(
        format="f", id="m", version="1", state=state, digest="", files={}, gates=summary, history=(), key="k"
    )  # fmt: skip


def steps(state: str, *people: tuple[str, str]) -> list[ReleaseStep]:
    """Steps by these people in these roles."""
    return [ReleaseStep(state, "2026-11-20", by, role, "") for by, role in people or (("Ann", "owner"),)]


def test_the_whole_way_with_every_gate_green() -> None:
    found = release()
    for state in STATES[1:]:
        people = (("Ann", "owner"), ("Ben", "clinician")) if state == "approved" else (("Ann", "owner"),)
        found = apply_steps(found, steps(state, *people))
        assert found.state == state
        assert found.signature == ""
    assert len(found.history) == 6


@pytest.mark.parametrize(
    ("start", "target"),
    [
        ("draft", "active"),
        ("draft", "approved"),
        ("validated", "active"),
        ("validated", "shadow"),
        ("retired", "draft"),
    ],
)
def test_no_state_is_skipped_and_nothing_comes_back_from_retired(start: str, target: str) -> None:
    with pytest.raises(NotReleased, match=f"m is {start}"):
        apply_steps(release(start), steps(target, ("Ann", "owner"), ("Ben", "clinician")))


def test_an_unknown_state_is_refused() -> None:
    with pytest.raises(NotReleased, match="no state"):
        apply_steps(release(), steps("famous"))


@pytest.mark.parametrize(
    "people", [[("Ann", "owner")], [("Ann", "owner"), ("Ann", "clinician")], [("Ann", "x"), ("Ben", "x")]]
)
def test_approval_takes_two_people_in_two_roles(people: list[tuple[str, str]]) -> None:
    with pytest.raises(NotReleased, match="two people in two different roles"):
        apply_steps(release("validated"), steps("approved", *people))


@pytest.mark.parametrize("gate", ["G1", "G3", "G6", "G7", "G14"])
def test_what_is_about_file_figures_and_papers_keeps_a_draft_a_draft(gate: str) -> None:
    assert state_after_gates(release(red=(gate,))) == "draft"
    with pytest.raises(NotReleased, match=f"{gate} not green"):
        apply_steps(release(red=(gate,)), steps("validated"))


@pytest.mark.parametrize("gate", ["G9", "G10", "G12", "G13", "G15"])
def test_any_other_red_gate_holds_a_model_at_validated(gate: str) -> None:
    held = msgspec.structs.replace(release(red=(gate,)), state=state_after_gates(release(red=(gate,))))
    assert held.state == "validated"
    with pytest.raises(NotReleased, match=f"may not become approved: {gate} not green"):
        apply_steps(held, steps("approved", ("Ann", "owner"), ("Ben", "clinician")))
    assert reason_cards_withheld(held) is not None
    assert gate in str(reason_cards_withheld(held))


def test_a_gate_that_turns_red_takes_an_active_model_back() -> None:
    assert state_after_gates(release("active", red=("G9",))) == "validated"
    assert state_after_gates(release("active", red=("G1",))) == "draft"
    assert state_after_gates(release("active")) == "active"
    assert state_after_gates(release("retired", red=("G1",))) == "retired"


def test_without_a_report_nothing_moves_and_nothing_is_shown() -> None:
    with pytest.raises(NotReleased, match="no gate report"):
        apply_steps(release(gates=False), steps("validated"))
    assert "no gate report" in str(reason_cards_withheld(release("active", gates=False)))


@pytest.mark.parametrize(
    ("state", "least", "shown"),
    [
        ("draft", "validated", False),
        ("validated", "validated", True),
        ("validated", "active", False),
        ("approved", "approved", True),
        ("shadow", "validated", False),
        ("active", "active", True),
        ("retired", "validated", False),
    ],
)
def test_cards_are_shown_from_the_state_a_site_asks_for_and_never_in_shadow(
    state: str, least: str, shown: bool
) -> None:
    assert (reason_cards_withheld(release(state), least) is None) is shown
