"""Which file of words is read for a card, what is wrong with it, and how a page tells figures and periods."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models_onnx.errors import CardIncomplete
from models_onnx.model_card.attributes import project_words
from models_onnx.workbench.release import card, documentation
from tests.models_onnx.workbench.training.template import write_template
from tests.models_onnx.workbench.training.test_template import complete


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
    assert "At equal ages" not in plain
    assert "These people have 1.50 times the events expected (slope 1.00)." in plain
    assert "cds-hooks model train m --table others.csv --out FOLDER" in plain
    group |= {f"{name}_standardised": _figure(0.25) for name in ("sensitivity", "false_positive_rate")}
    half, quarter = "0.50 (0.50 to 0.50)", "0.25 (0.25 to 0.25)"
    told = documentation.other_rows_page(evaluated)
    assert f"| sex | female (insufficient) | {half} | {quarter} | {half} | {quarter} |" in told
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
