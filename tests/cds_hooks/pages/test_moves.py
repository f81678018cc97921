"""How far a missing input could move an estimate is what the model says with it, and earlier estimates are listed."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cards.compose.model import in_100
from cds_hooks.package_tests.markup import faults
from cds_hooks.pages.explain.missing_inputs import earlier_estimates, missing_moves
from cds_hooks.pages.explain.recorded_decision import Basis, Scores, read_basis
from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.storage.decision import Decision, new_decision_id
from models_onnx.serving.runtime import Model
from tests.cds_hooks.calls import client
from tests.cds_hooks.pages.rendered import explanation_page
from tests.cds_hooks.pages.worklist.test_worklist_page import keep
from tests.cds_hooks.web.decisions import AS_OF, SITE, decided, explained


def _read(decision: Decision) -> tuple[Model, Basis, Scores]:
    basis = read_basis(decision)
    scores = basis.model_scores
    assert scores is not None
    model = ModelFiles(None).model(scores.id)
    assert model is not None
    return model, basis, scores


def test_the_range_of_a_missing_input_holds_what_the_model_says_with_a_value_of_it(tmp_path: Path) -> None:
    decision = decided(tmp_path, "planning-talk")
    model, basis, scores = _read(decision)
    known = next(name for name in basis.features if abs(scores.contributions.get(name, 0.0)) > 0.1 and name != "age")
    without = msgspec.structs.replace(basis, features={n: v for n, v in basis.features.items() if n != known})
    row = [without.features[item.name][0] if item.name in without.features else float("nan")
           for item in model.manifest.features]  # fmt: skip
    as_if = msgspec.structs.replace(scores, probability=model.predict(np.array(row)).probability)
    moves = missing_moves(model, without, as_if)
    assert {move.words for move in moves} >= {move.words for move in missing_moves(model, basis, scores)}
    (move,) = [each for each in moves if each.words == _words(model, known)]
    assert move.low <= in_100(scores.probability) <= move.high
    assert move.low < move.high


def _words(model: Model, name: str) -> str:
    from cds_hooks.web.model_words import words_of

    return words_of(model.manifest.feature(name))


def test_the_page_shows_how_far_each_missing_input_could_move_the_estimate(tmp_path: Path) -> None:
    decision = decided(tmp_path, "messy-record")
    moves = missing_moves(*_read(decision))
    page = explanation_page(SITE, explained(decision), moves, ())
    assert "How far each could move the estimate" in page
    assert all(f"{move.low} to {move.high}" in page and move.over in page for move in moves)
    assert any("× 10⁶/µL" in move.over for move in moves)
    assert faults(page) == []


def test_nothing_is_said_where_the_model_does_not_give_the_recorded_estimate(tmp_path: Path) -> None:
    model, basis, scores = _read(decided(tmp_path, "planning-talk"))
    other = msgspec.structs.replace(scores, probability=scores.probability / 2)
    assert missing_moves(model, basis, other) == []


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
