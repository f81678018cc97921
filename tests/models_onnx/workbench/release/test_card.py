"""What can be computed is computed from the manifest; the rest stands in the words beside the model."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from models_onnx.artifact.manifest import Manifest
from models_onnx.equations.card import equation_card
from models_onnx.equations.declaration import find_equations
from models_onnx.errors import CardIncomplete
from models_onnx.model_card.attributes import project_words
from models_onnx.model_card.schema import card_problems
from models_onnx.spec import find_specs
from models_onnx.workbench.release import card, documentation
from models_onnx.workbench.release import card as figures
from models_onnx.workbench.release.card import build_card, card_words, merge_words
from tests.each import for_rows
from tests.models_onnx.workbench.training.template import write_template
from tests.models_onnx.workbench.training.toy import complete
from tests.models_onnx.workshop import good_manifest


@pytest.fixture
def manifest() -> Manifest:
    """The committed manifest."""
    return msgspec.convert(good_manifest(), Manifest)


def built(manifest: Manifest) -> dict[str, Any]:
    """Its card."""
    return build_card(manifest, card_words(manifest.id), "0" * 64)


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


@for_rows("name", sorted(find_specs()))
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


def test_words_that_are_no_json_are_told_by_their_file(tmp_path: Path) -> None:
    path = _write(tmp_path, "mine", b'{\n"attributes": }')
    with pytest.raises(CardIncomplete, match=r"^.*, line 2: this is not valid JSON \(Expecting value\)$"):
        card.declared_words("mine", tmp_path)
    path.write_bytes(b"\xff\xff")
    with pytest.raises(CardIncomplete, match=r"^.*mine\.card\.json is not valid JSON: .*utf-8"):
        card.declared_words("mine", tmp_path)


def test_a_twin_has_the_words_of_the_other_under_its_own(tmp_path: Path) -> None:
    _write(tmp_path, "one", {"attributes": {"details.funding": "A grant.", "details.developer": "Us."}})
    _write(
        tmp_path, "two", {"extends": "one", "attributes": {"details.funding": "Another."}, "product": {"setting": "x"}}
    )
    words = card.card_words("two", tmp_path)
    defaults = project_words()
    assert words["attributes"] == {
        **{path: text for path, text in defaults["attributes"].items() if not path.startswith("details.")},
        **{path: text for path, text in defaults["attributes"].items() if path.startswith("details.")},
        "details.funding": "Another.",
        "details.developer": "Us.",
    }
    assert words["product"]["setting"] == "x"
    assert "stakeholders" not in words["product"]
    assert not {"reviewed", "by"} & set(words["product"]["irm"])


def _figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value, "high": value}


def test_figures_and_groups_of_other_rows() -> None:
    rates = ("auroc", "observed_expected", "ppv", "sensitivity", "false_positive_rate")
    group = {"axis": "sex", "group": "female", "n": 1200, "events": 99, "sufficient": False,
             **{name: _figure(0.5) for name in rates}}  # fmt: skip
    overall = {"n": 2000, "events": 150, "auroc": _figure(0.75), "observed_expected": _figure(1.5),
               "calibration_slope": _figure(1.0)}  # fmt: skip
    cohort = SimpleNamespace(left_out=(SimpleNamespace(words="younger than 18", count=1234),))
    evaluated: Any = SimpleNamespace(whole=overall, subgroups=[group], cohort=cohort, rows=Path("others.csv"),
                                     manifest=SimpleNamespace(id="m", row_words="people"))  # fmt: skip
    plain = documentation.other_rows_page(evaluated)
    assert plain.startswith("left out: younger than 18: 1,234\n")
    assert "|  | these rows |" in plain
    assert "| People (events) | 2,000 (150) |" in plain
    assert "0.750 (0.750 to 0.750)" in plain
    assert "| sex | female | 1,200 (99), insufficient | 0.50 (0.50 to 0.50) | 0.50 (0.50 to 0.50) |  |  |" in plain
    assert "These people have 1.50 times the events expected (slope 1.00)." in plain
    assert "cds-hooks model train m --table others.csv --out FOLDER" in plain
    overall["observed_expected"] = _figure(1.0)
    assert "No new version is proposed: observed/expected" in documentation.other_rows_page(evaluated)
    overall["events"] = 3
    assert "No new version is proposed: 3 events, " in documentation.other_rows_page(evaluated)


def test_words_that_could_not_be_published_are_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    write_template("toy_30d", tmp_path)
    with pytest.raises(CardIncomplete, match=r"^the model card of toy_30d is incomplete: attribute 1 "):
        card.refuse_incomplete_words("toy_30d", tmp_path)
    complete(tmp_path / "toy_30d.card.json")
    card.refuse_incomplete_words("toy_30d", tmp_path)
    card.refuse_incomplete_words("toy_30d", tmp_path, ["sex", "age band"])
    for axes in (["age band"], []):
        with pytest.raises(CardIncomplete) as refused:
            card.refuse_incomplete_words("toy_30d", tmp_path, axes)
        assert str(refused.value) == (
            "the model card of toy_30d names sex, by which there are no figures (ModelSpec.subgroups)"
        )


Json = dict[str, Any]


def _card_figures_figure(value: float | None, low: float | None = None, high: float | None = None) -> Json:
    return {"value": value, "low": low, "high": high}


def _group(axis: str, group: str, n: int, events: int, sufficient: bool = True) -> Json:
    return {
        "axis": axis,
        "group": group,
        "n": n,
        "events": events,
        "sufficient": sufficient,
        "auroc": _card_figures_figure(0.75, 0.7, 0.8),
        "observed_expected": _card_figures_figure(1.0004, 0.9, 1.1),
        "sensitivity": _card_figures_figure(0.5),
        "something_else": 1,
    }


GROUPS = [_group("sex", "female", 500, 60), _group("sex", "male", 484, 40), _group("age", "18-44", 333, 3, False)]
EVALUATION: Json = {
    "how": "By cross-validation.",
    "all": {
        "n": 1000,
        "events": 100,
        "auroc": _card_figures_figure(0.8, 0.75, 0.85),
        "brier": _card_figures_figure(0.0751),
        "x": 1,
    },
    "newest": {"n": 10, "events": 1, "auroc": _card_figures_figure(None), "ppv": _card_figures_figure(0.25, 0.2, None)},
    "simple": {"inputs": ["age", "sex"], "auroc": _card_figures_figure(0.7, 0.65, 0.75)},
    "subgroups": GROUPS,
}


def _manifest(evaluation: Json | None = None, **members: Any) -> Manifest:
    steps = (SimpleNamespace(words="pregnant", count=1234), SimpleNamespace(words="not linked", count=5))
    facts: Json = {
        "cohort": SimpleNamespace(table_rows=2239, exclusions=steps, n=1000, events=100, words="adults of a survey"),
        "data": SimpleNamespace(name="table.csv"),
        "table_period": "1999 to 2014",
        "outcome": SimpleNamespace(words="died within 5 years"),
        "period": SimpleNamespace(training="1999 to 2014", recalibration="2011 to 2014"),
        "provenance": None,
        "evaluation": EVALUATION if evaluation is None else evaluation,
        **members,
    }
    return cast(Manifest, SimpleNamespace(**facts))


def test_the_share_of_each_group_and_of_those_of_no_group() -> None:
    assert figures.representation(_manifest()) == {
        "sex": {
            "female": {"people": 500, "events": 60, "percent": 50.0},
            "male": {"people": 484, "events": 40, "percent": 48.4},
            "not recorded": {"people": 16, "percent": 1.6},
        },
        "age": {
            "18-44": {"people": 333, "events": 3, "percent": 33.3},
            "not recorded": {"people": 667, "percent": 66.7},
        },
    }
    assert figures.representation_in_words(_manifest()) == (
        "Of 1,000 people. By sex: female 50 %, male 48.4 %, not recorded 1.6 %. By age: 18-44 33.3 %, not recorded "
        "66.7 %."
    )
    thirds = _manifest({"subgroups": [_group("sex", "a", 1, 1)]}, cohort=SimpleNamespace(n=3))
    assert figures.representation(thirds)["sex"] == {
        "a": {"people": 1, "events": 1, "percent": 33.3},
        "not recorded": {"people": 2, "percent": 66.7},
    }


def test_how_well_it_tells_people_apart_and_how_right_it_is() -> None:
    assert figures.validity(_manifest()) == {
        "how": "By cross-validation.",
        "all": {
            "people": 1000,
            "events": 100,
            "auroc": _card_figures_figure(0.8, 0.75, 0.85),
            "brier": _card_figures_figure(0.0751),
        },
        "newest": {
            "people": 10,
            "events": 1,
            "auroc": _card_figures_figure(None),
            "ppv": _card_figures_figure(0.25, 0.2, None),
        },
        "gain_over_simple": EVALUATION["simple"],
    }
    assert figures.validity_in_words(_manifest()) == (
        "By cross-validation. All years, 1,000 people, 100 events: AUROC 0.800 (0.750 to 0.850), Brier score 0.075. "
        "Newest years followed to the horizon, 10 people, 1 events: AUROC not computable, PPV at the default threshold "
        "0.250. age and sex alone: AUROC 0.700 (0.650 to 0.750)."
    )


def test_what_each_group_says_of_fairness() -> None:
    rows = figures.fairness(_manifest())
    assert rows[0] == {
        "axis": "sex",
        "group": "female",
        "people": 500,
        "events": 60,
        "sufficient": True,
        "auroc": _card_figures_figure(0.75, 0.7, 0.8),
        "observed_expected": _card_figures_figure(1.0004, 0.9, 1.1),
        "sensitivity": _card_figures_figure(0.5),
    }
    assert figures.fairness_in_words(_manifest()) == (
        "sex, female: 500 people, 60 events, AUROC 0.750 (0.700 to 0.800), observed/expected 1.000 (0.900 to 1.100); "
        "sex, male: 484 people, 40 events, AUROC 0.750 (0.700 to 0.800), observed/expected 1.000 (0.900 to 1.100); "
        "age, 18-44: 333 people, 3 events, too few to judge; race and ethnicity: not judged, no figures are by them."
    )


@pytest.mark.parametrize("evaluation", [{}, {"how": "Not at all.", "subgroups": []}])
def test_a_model_that_was_not_evaluated_says_nothing_of_it(evaluation: Json) -> None:
    nothing = _manifest(evaluation)
    assert figures.validity(nothing) == {"how": evaluation.get("how", "")}
    assert figures.validity_in_words(nothing) == ""
    assert figures.fairness(nothing) == []
    assert figures.fairness_in_words(nothing) == ""
    assert figures.representation(nothing) == {}
    assert figures.representation_in_words(nothing) == ""


def test_words_without_a_procedure_or_a_simple_model() -> None:
    bare = _manifest({"latest": {"n": 5, "events": 2, "brier": _card_figures_figure(0.1, 0.05, 0.15)}})
    assert figures.validity_in_words(bare) == "Latest years, 5 people, 2 events: Brier score 0.100 (0.050 to 0.150)."


@for_rows(
    ("figure", "text"),
    [
        ({}, "not computable"),
        (_card_figures_figure(0.5), "0.500"),
        (_card_figures_figure(0.5, 0.25), "0.500"),
        (_card_figures_figure(0.5, None, 0.75), "0.500"),
        (_card_figures_figure(0.5, 0.0, 0.75), "0.500 (0.000 to 0.750)"),
    ],
)
def test_a_figure_with_its_interval(figure: Json, text: str) -> None:
    assert figures.interval(figure) == text
