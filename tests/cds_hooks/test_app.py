"""Parts of the application by themselves: what is counted of approvals."""

from types import SimpleNamespace
from typing import Any

import pytest

from cds_hooks.app import _in_force


def made(**members: Any) -> Any:
    return SimpleNamespace(**members)


@pytest.mark.parametrize(
    ("rules", "approvals", "expected"),
    [
        (None, None, [("switches", 2), ("pending", 0)]),
        ({"approved": 5, "not_approved": 1}, "book",
         [("rules-approved", 5), ("rules-not-approved", 1), ("switches", 2), ("pending", 3)]),
    ],
)  # fmt: skip
def test_what_people_have_signed_is_counted(rules: Any, approvals: Any, expected: list[tuple[str, int]]) -> None:
    states = {name: made(state=name) for name in ("off", "shadow", "active")}
    components = made(
        governance=made(approval_counts=lambda: rules),
        releases=made(current=made(states=states), waiting_for_second=lambda: [1, 2, 3]),
    )
    assert _in_force(components, approvals) == expected
