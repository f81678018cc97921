"""What a row's hash is made of."""

from typing import Any

import msgspec

from cds_hooks.storage.chain import NO_ROW_BEFORE, row_hash
from cds_hooks.storage.decision import Decision
from tests.cds_hooks.storage.samples import a_decision
from tests.each import for_rows


@for_rows("member", Decision.__struct_fields__)
def test_every_member_counts(member: str) -> None:
    decision = msgspec.structs.replace(a_decision(user_id="k:u"), facts=b"facts", chart=b"hash")
    value: Any = getattr(decision, member)
    other = value + (1 if isinstance(value, int) else b"." if isinstance(value, bytes) else ".")
    changed = msgspec.structs.replace(decision, **{member: other})
    assert row_hash(NO_ROW_BEFORE, "c", 1, changed) != row_hash(NO_ROW_BEFORE, "c", 1, decision)
