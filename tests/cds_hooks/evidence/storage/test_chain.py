"""What a row's hash is made of."""

import hashlib
import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.evidence.storage.chain import NO_ROW_BEFORE, row_hash
from cds_hooks.evidence.storage.decision import Decision
from tests.cds_hooks.evidence.storage.samples import a_decision
from tests.each import for_rows

_TEXT = st.text(st.characters(codec="utf-8"))
_MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("id", "hook", "service", "hook_instance", "client", "patient", "outcome"), _TEXT),
    "input_digest": _TEXT, "user_id": _TEXT, "decided_at": st.integers(0, 2**62),
    **dict.fromkeys(("models", "response", "basis"), st.binary()), "facts": st.none() | st.binary(),
}  # fmt: skip


def _as_documented(previous: bytes, position: int, decision: Decision) -> bytes:
    """The hash as an auditor without this program would compute it, from the docstring of `chain.py`."""
    d = decision
    lengths = [len(d.models), len(d.response), len(d.basis), None if d.facts is None else len(d.facts)]
    call = [d.decided_at, d.hook, d.service, d.hook_instance, d.client, d.patient, d.user_id, d.outcome, d.input_digest]
    array = json.dumps(["decisions", position, d.id, *call, *lengths], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(previous + array.encode() + d.models + d.response + d.basis + (d.facts or b"")).digest()


@given(st.builds(Decision, **_MEMBERS))
def test_the_hash_can_be_computed_with_the_standard_library_alone(decision: Decision) -> None:
    previous = bytes(range(32))
    assert row_hash(previous, 7, decision) == _as_documented(previous, 7, decision)


@for_rows("member", Decision.__struct_fields__)
def test_every_member_counts(member: str) -> None:
    decision = msgspec.structs.replace(a_decision(user_id="k:u"), facts=b"facts", chart=b"hash")
    value: Any = getattr(decision, member)
    other = value + (1 if isinstance(value, int) else b"." if isinstance(value, bytes) else ".")
    changed = msgspec.structs.replace(decision, **{member: other})
    assert row_hash(NO_ROW_BEFORE, 1, changed) != row_hash(NO_ROW_BEFORE, 1, decision)
