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
from models_onnx.workbench.release.card import build_card, card_words, merge_words
from tests.models_onnx.workshop import good_manifest


@pytest.fixture
def manifest() -> Manifest:
    """The committed manifest."""
    return msgspec.convert(good_manifest(), Manifest)


def built(manifest: Manifest) -> dict[str, Any]:
    """Its card."""
    return build_card(manifest, card_words(manifest.id), "0" * 64)


def test_the_card_says_in_figures_what_the_manifest_says(manifest: Manifest) -> None:
    card = built(manifest)
    cohort = card["development"]["criteria"]["figures"]
    assert (cohort["people"], cohort["events"]) == (manifest.cohort.n, manifest.cohort.events)
    validity = card["performance"]["internal_validity"]
    assert validity["figures"]["all"]["auroc"] == manifest.evaluation["all"]["auroc"]
    assert f"{manifest.evaluation['all']['auroc']['value']:.3f}" in validity["words"]
    assert len(card["performance"]["internal_fairness"]["figures"]) == len(manifest.evaluation["subgroups"])


def test_each_axis_of_representativeness_adds_up_to_the_cohort(manifest: Manifest) -> None:
    for axis, groups in built(manifest)["development"]["representativeness"]["figures"].items():
        assert sum(group["people"] for group in groups.values()) == manifest.cohort.n, axis
        assert "not recorded" in groups


def test_a_group_with_too_few_events_gives_no_figure_in_words(manifest: Manifest) -> None:
    manifest.evaluation["subgroups"][0]["sufficient"] = False
    assert "too few to judge" in built(manifest)["performance"]["internal_fairness"]["words"]


def test_an_attribute_that_nobody_declared_is_blank(manifest: Manifest) -> None:
    words = card_words(manifest.id)
    del words["attributes"]["fairness.approach"]
    found = card_problems(build_card(manifest, words, "0" * 64))
    assert found == ["attribute 15 (B)(5)(i) fairness.approach (How the output was made fair) is blank"]


@pytest.mark.parametrize("name", sorted(find_specs()))
def test_every_declared_model_has_words_for_its_card(name: str) -> None:
    words = card_words(name)
    assert words["attributes"]["development.relevance"]
    assert words["product"]["label"]["stands_for"]
    assert 0.5 < words["product"]["auroc_floor"] < 1


def test_a_model_without_words_is_refused() -> None:
    with pytest.raises(CardIncomplete, match=r"models/no_such\.card\.json is not there"):
        card_words("no_such")


def test_what_is_still_to_do_is_named_by_its_place(manifest: Manifest) -> None:
    words = card_words("mortality_5y")
    words["product"]["label"]["stands_for"] = "TODO: which need"
    assert card_problems(build_card(manifest, words, "0" * 64)) == ["product.label.stands_for is still to do"]


def test_words_beside_a_declaration_of_ones_own_come_first(tmp_path: Path) -> None:
    (tmp_path / "mine.card.json").write_text('{"attributes": {"details.funding": "A grant."}, "product": {}}')
    assert card_words("mine", tmp_path)["attributes"]["details.funding"] == "A grant."
    (tmp_path / "mine.card.json").write_text('{\n"attributes"')
    with pytest.raises(CardIncomplete, match=r"mine\.card\.json, line 2: this is not valid JSON"):
        card_words("mine", tmp_path)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"attributes": {"details.fundng": "A grant."}}, r"attributes\.details\.fundng"),
        ({"product": {"fairnes_axes": {"sex": "all"}}}, r"product\.fairnes_axes"),
        ({"attribute": {"details.funding": "A grant."}}, "mine.card.json has attribute, which no card has"),
    ],
)
def test_a_name_that_no_card_has_is_refused(tmp_path: Path, words: dict[str, Any], named: str) -> None:
    (tmp_path / "mine.card.json").write_text(json.dumps(words))
    with pytest.raises(CardIncomplete, match=named):
        card_words("mine", tmp_path)


def test_own_words_go_over_the_defaults() -> None:
    both = merge_words({"attributes": {"a": "1", "b": "2"}, "product": {}}, {"attributes": {"b": "3"}})
    assert both == {"attributes": {"a": "1", "b": "3"}, "product": {}}


@pytest.mark.parametrize("name", sorted(find_equations()))
def test_every_published_equation_has_a_whole_card(name: str) -> None:
    assert card_problems(equation_card(name)) == []
