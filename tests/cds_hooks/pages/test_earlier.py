"""The page of a decision lists the estimates before it."""

import json
from pathlib import Path

import msgspec
import pytest

from cds_hooks.package_tests.markup import faults
from cds_hooks.pages.explain.recorded_decision import earlier_estimates, read_basis
from cds_hooks.storage.decision import new_decision_id
from tests.cds_hooks.calls import client
from tests.cds_hooks.pages.worklist.test_worklist_page import keep
from tests.cds_hooks.web.decisions import AS_OF, decided


@pytest.mark.anyio
async def test_the_page_lists_the_estimates_before_it_and_only_those_of_this_patient(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:
        decision = thread.submit(decided, tmp_path, "planning-talk").result()
    day = 86_400_000_000
    elsewhen = msgspec.structs.replace(decision, id=new_decision_id(), hook_instance="another call")
    before = msgspec.structs.replace(elsewhen, decided_at=decision.decided_at - day)
    other = msgspec.structs.replace(before, id=new_decision_id(), patient="somebody-else")
    after = msgspec.structs.replace(elsewhen, id=new_decision_id(), decided_at=decision.decided_at + day)
    keep(tmp_path, before, other, after)
    async with client(tmp_path, as_of=AS_OF) as calls:
        page = (await calls.get(f"/explain/{decision.id}")).text
        first = (await calls.get(f"/explain/{before.id}")).text
    assert faults(page) == []
    assert f'href="{before.id}"' in page
    assert other.id not in page
    assert after.id not in page
    assert "No earlier estimate" in first


def test_a_record_of_another_form_is_left_out(tmp_path: Path) -> None:
    decision = decided(tmp_path, "planning-talk")
    broken = msgspec.structs.replace(decision, basis=json.dumps({"as_of": 3}).encode())
    scores = read_basis(decision).model_scores
    assert scores is not None
    assert [one.decision for one in earlier_estimates([broken, decision], scores.id)] == [decision.id]
    assert earlier_estimates([decision], "another model") == []


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
