"""What a row's hash is made of."""

import hashlib
import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.evidence.storage.chain import NOTHING_BEFORE, linked, row_digest, values_of_decision
from cds_hooks.evidence.storage.decision import Decision
from cds_hooks.evidence.storage.tables import decisions
from tests.cds_hooks.evidence.storage.samples import a_decision
from tests.each import for_rows

_TEXT = st.text(st.characters(codec="utf-8"))
_MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("id", "hook", "service", "hook_instance", "client", "patient", "outcome"), _TEXT),
    "input_digest": _TEXT, "user_id": _TEXT, "decided_at": st.integers(0, 2**62),
    **dict.fromkeys(("models", "response", "basis"), st.binary()), "facts": st.none() | st.binary(),
}  # fmt: skip


def _as_documented(previous: bytes, number: int, decision: Decision) -> bytes:
    """The hash as an auditor without this program would compute it, from the docstring of `chain.py`."""
    names = [column.name for column in decisions.columns if column.name != "sequence"]
    values = [number, *(getattr(decision, name) for name in names)]
    contents = [value for value in values if isinstance(value, bytes)]
    shown = ["decisions", *([len(value)] if isinstance(value, bytes) else value for value in values)]
    array = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    digest = hashlib.sha256(array.encode() + b"".join(contents)).digest()
    return hashlib.sha256(previous + digest + b"decisions").digest()


@given(st.builds(Decision, **_MEMBERS))
def test_the_hash_can_be_computed_with_the_standard_library_alone(decision: Decision) -> None:
    previous = bytes(range(32))
    _, links = linked((6, previous), "decisions", [values_of_decision(decision)])
    assert links[0][-1] == _as_documented(previous, 7, decision)
    assert linked(None, "decisions", [values_of_decision(decision)])[1][0][-1] == _as_documented(
        NOTHING_BEFORE, 1, decision
    )


@for_rows("member", Decision.__struct_fields__)
def test_every_member_counts(member: str) -> None:
    decision = msgspec.structs.replace(a_decision(user_id="k:u"), facts=b"facts", chart=b"hash")
    value: Any = getattr(decision, member)
    other = value + (1 if isinstance(value, int) else b"." if isinstance(value, bytes) else ".")
    changed = msgspec.structs.replace(decision, **{member: other})
    assert row_digest("decisions", values_of_decision(changed)) != row_digest("decisions", values_of_decision(decision))
