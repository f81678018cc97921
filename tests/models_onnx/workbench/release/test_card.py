"""What can be computed is computed from the manifest; the rest stands in the words beside the model."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models_onnx.artifact.manifest import Manifest
from models_onnx.equations.card import equation_card
from models_onnx.equations.declaration import find_equations
from models_onnx.errors import CardIncomplete
from models_onnx.model_card.schema import card_problems
from models_onnx.spec import find_specs
from models_onnx.workbench.release import card
from models_onnx.workbench.release.card import build_card, card_words
from tests.each import for_rows
from tests.models_onnx.workshop import good_manifest


@pytest.fixture
def manifest() -> Manifest:
    """The committed manifest."""
    return msgspec.convert(good_manifest(), Manifest)


def built(manifest: Manifest) -> dict[str, Any]:
    """Its card."""
    return build_card(manifest, card_words(manifest.id), "0" * 64)


def test_a_group_with_too_few_events_gives_no_figure_in_words(manifest: Manifest) -> None:
    manifest.evaluation["subgroups"][0]["sufficient"] = False
    assert "too few to judge" in built(manifest)["performance"]["internal_fairness"]["words"]


def test_an_attribute_that_nobody_declared_is_blank(manifest: Manifest) -> None:
    words = card_words(manifest.id)
    del words["attributes"]["fairness.approach"]
    found = card_problems(build_card(manifest, words, "0" * 64))
    assert found == ["attribute 15 (B)(5)(i) fairness.approach (How the output was made fair) is blank"]


@for_rows("name", sorted(find_specs()))
def test_every_declared_model_has_words_for_its_card(name: str) -> None:
    words = card_words(name)
    assert words["attributes"]["development.relevance"]
    assert words["product"]["label"]["stands_for"]
    assert 0.5 < words["product"]["auroc_floor"] < 1


@for_rows("name", sorted(find_equations()))
def test_every_published_equation_has_a_whole_card(name: str) -> None:
    assert card_problems(equation_card(name)) == []


# Which file of words is read for a card, what is wrong with it, and how a page tells figures and periods.
def _write(folder: Path, name: str, words: Any) -> Path:
    path = folder / f"{name}.card.json"
    path.write_bytes(words if isinstance(words, bytes) else json.dumps(words).encode())
    return path


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (b"[]", "mine.card.json holds no object"),
        (b'"text"', "mine.card.json holds no object"),
        (
            {"product": {"fairnes": 1}, "attributes": {"a.b": "x"}, "zebra": {}, "apple": {}},
            "mine.card.json has apple, zebra, attributes.a.b, product.fairnes, which no card has; docs/models/card.md "
            "lists the names",
        ),
    ],
)
def test_words_that_no_card_has(content: Any, refusal: str, tmp_path: Path) -> None:
    _write(tmp_path, "mine", content)
    with pytest.raises(CardIncomplete) as refused:
        card.declared_words("mine", tmp_path)
    assert str(refused.value) == refusal
