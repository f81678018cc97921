"""People of one's own let the gates judge a model from elsewhere: parity, figures, groups, label."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models_onnx.errors import ImportRefused
from models_onnx.workbench import metrics
from models_onnx.workbench.gates import rows
from models_onnx.workbench.gates.rows import RowsFromFile, _age_bands, read_rows
from models_onnx.workbench.gates.run import run_gates
from models_onnx.workbench.gates.subject import Subject, read_subject
from models_onnx.workbench.release.importing import import_model
from tests.models_onnx.workbench.gates.formula import item, subject
from tests.models_onnx.workbench.gates.judging import judge
from tests.models_onnx.workbench.release.test_importing import feature_map, their_card, theirs
from tests.models_onnx.workshop import KEYS, SIGNER, evidence

__all__ = ["theirs"]


@pytest.fixture
def imported(tmp_path: Path, theirs: bytes) -> Subject:
    """Their model, taken in; what must be there is said."""
    (tmp_path / "theirs.onnx").write_bytes(theirs)
    features = {**feature_map(), "required": {"always": ["age_years", "creatinine_mg_dl"], "groups": []}}
    card = their_card()
    card["product"].update(fairness_axes={"sex": "all", "age band": "calibration"}, waivers=[], auroc_floor=0.6)
    card["product"]["label"]["audit"] = {"need": "conditions", "words": "conditions", "axis": "sex"}
    import_model(tmp_path / "theirs.onnx", card, features, tmp_path / "shelf", SIGNER)
    return read_subject(tmp_path / "shelf" / "their_model", KEYS)


def people(subject: Subject, path: Path, shift: float = 0.0, gap: float = 1.0) -> Path:
    """1,500 invented people to whom happens what the model says; `shift` in the library's numbers, `gap` in need."""
    draw = np.random.default_rng(8)
    X = np.column_stack([draw.uniform(30, 90, 1500), draw.uniform(0.5, 2.0, 1500)]).astype(np.float32)
    probability = subject.answers(X).probability
    happened = (draw.random(1500) < probability).astype(int)
    sex = draw.choice(["female", "male"], 1500)
    conditions = draw.poisson(3 * probability * np.where(sex == "male", gap, 1.0))
    rows = [
        f"{x[0]!r},{x[1]!r},{y},{group},{need},{p + shift!r}"
        for x, y, group, need, p in zip(X.tolist(), happened, sex, conditions, probability.tolist(), strict=True)
    ]
    header = "age_years,creatinine_mg_dl,outcome,sex,conditions,library_probability"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def brought(found: RowsFromFile) -> dict[str, Any]:
    """What the rows give, as evidence."""
    figures = found.subject.evaluation
    return {"people": found.people, "audit": found.audit, "library": found.library, "figures": figures}


def test_a_good_model_passes_every_gate_that_people_can_judge(imported: Subject, tmp_path: Path) -> None:
    found = read_rows(imported, people(imported, tmp_path / "people.csv"))
    report = run_gates(imported, evidence(**brought(found)))
    states = {result.gate: (result.status, result.why) for result in report.results}
    for gate in ("G3", "G7", "G9", "G10", "G12"):
        assert states[gate][0] == "passed", (gate, states[gate])
    assert states["G6"][0] == "failed"


def test_what_the_library_says_differently_and_what_a_group_needs_more_fail(imported: Subject, tmp_path: Path) -> None:
    found = read_rows(imported, people(imported, tmp_path / "people.csv", shift=1e-4, gap=2.0))
    assert "differs by 1.0e-04" in judge(imported, "G3", evidence(**brought(found))).why
    assert "male need" in judge(imported, "G10", evidence(**brought(found))).why


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age_years,outcome\n50,1\n", "lacks the column creatinine_mg_dl"),
        ("age_years,creatinine_mg_dl\n50,1\n", "lacks the column outcome"),
        ("age_years\n50\n", "lacks the columns creatinine_mg_dl, outcome"),
        ("", "lacks the columns"),
        ("age_years,creatinine_mg_dl,outcome\nold,1,1\n", "has a value that is not a number"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(imported: Subject, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "people.csv").write_text(text)
    with pytest.raises(ImportRefused, match=said):
        read_rows(imported, tmp_path / "people.csv")


def test_an_import_that_does_not_say_what_must_be_there_keeps_nobody_out(tmp_path: Path, theirs: bytes) -> None:
    (tmp_path / "theirs.onnx").write_bytes(theirs)
    import_model(tmp_path / "theirs.onnx", their_card(), feature_map(), tmp_path / "shelf", SIGNER)
    bare = read_subject(tmp_path / "shelf" / "their_model", KEYS)
    assert "nobody would be kept out" in judge(bare, "G12").why


def test_everybody_with_an_age_is_of_a_band_of_ten_years() -> None:
    bands = ["not recorded", "not recorded", "0-9", "0-9", "10-19", "70-79", *["80 and over"] * 4]
    ages = [np.nan, -0.5, 0.0, 9.9, 10.0, 79.9, 80.0, 90.0, 105.0, 120.0]
    assert _age_bands(np.array(ages)).tolist() == bands


AGE, YES = item("age", 20.0, 90.0, 50.0), item("smoker", 0.0, 1.0, 0.25)


def test_ordinary_people_lie_around_the_middle_within_the_nearer_ends_distance() -> None:
    """The nearer end is 30 years off: a third of it is the spread; hardly anybody lies farther than that end."""
    people = rows.ordinary((AGE, YES, item("same", 5.0, 5.0, 5.0), item("low", 0.0, 9.0, 0.0)), 4000)
    assert people.shape == (4000, 4)
    assert people[:, 0].mean() == pytest.approx(50.0, abs=0.6)
    assert people[:, 0].std() == pytest.approx(10.0, abs=0.4)
    assert 20.0 <= people[:, 0].min() < people[:, 0].max() <= 90.0
    assert set(people[:, 1].tolist()) == {0.0, 1.0}
    assert people[:, 1].mean() == pytest.approx(0.25, abs=0.025)
    assert set(people[:, 2].tolist()) == {5.0}
    # a middle at an end has no nearer end: the whole range counts, 9 / 3, and half of the people lie on the end
    assert (people[:, 3] == 0.0).mean() == pytest.approx(0.5, abs=0.03)
    assert people[people[:, 3] > 0.0, 3].mean() == pytest.approx(3.0 * (2.0 / np.pi) ** 0.5, abs=0.1)
    assert np.array_equal(
        people, rows.ordinary((AGE, YES, item("same", 5.0, 5.0, 5.0), item("low", 0.0, 9.0, 0.0)), 4000)
    )
    assert not np.array_equal(rows.ordinary((AGE,), 50), rows.ordinary((AGE,), 50, 1))


def test_a_yes_or_no_has_the_range_from_nothing_to_one() -> None:
    ranges = [(0.0, 1.0), (0.0, 2.0), (-1.0, 1.0)]
    assert [rows.is_binary(item("a", low, high, 0.5)) for low, high in ranges] == [True, False, False]


def test_of_what_is_not_required_fifteen_in_a_hundred_are_missing() -> None:
    people = rows.ordinary((AGE, YES), 4000)
    holes = rows.with_missing_values(people, (AGE, YES), frozenset({"smoker"}))
    assert np.isnan(holes).mean(axis=0) == pytest.approx([0.15, 0.0], abs=0.02)
    is_there = ~np.isnan(holes)
    assert np.array_equal(holes[is_there], people[is_there])
    draws = np.random.default_rng(rows.SEED + 1).random(people.shape) < 0.15
    assert np.array_equal(np.isnan(holes[:, 0]), draws[:, 0])


def test_the_edges_of_an_input_are_its_limits_their_neighbours_and_what_no_chart_holds() -> None:
    edges = rows.edges((AGE, YES))
    assert edges.shape == (21, 2)
    assert edges[0].tolist() == [50.0, 0.25]
    assert set(edges[1:11, 1].tolist()) == {0.25}
    assert set(edges[11:, 0].tolist()) == {50.0}
    low, high = np.float32(20.0), np.float32(90.0)
    expected = [20.0, 90.0, np.nextafter(low, np.float32(-np.inf)), np.nextafter(low, np.float32(np.inf)),
                np.nextafter(high, np.float32(-np.inf)), np.nextafter(high, np.float32(np.inf)),
                0.0, np.inf, -np.inf, np.nan]  # fmt: skip
    assert np.array_equal(edges[1:11, 0], np.array(expected, dtype=np.float32), equal_nan=True)


def test_all_kinds_are_ordinary_people_the_same_with_holes_and_the_edges() -> None:
    kinds = rows.all_kinds((AGE, YES), frozenset())
    assert kinds.shape == (500 + 500 + 21, 2)
    assert not np.isnan(kinds[:500]).any()
    assert np.isnan(kinds[500:1000]).any()
    assert rows.all_kinds((AGE, YES), frozenset(), 3).shape == (27, 2)


def test_a_block_without_events_or_with_nothing_else_has_no_figures() -> None:
    wanted: dict[str, metrics.Metric] = {"auroc": metrics.auroc}
    unknown = {"value": None, "low": None, "high": None}
    for outcome in (0, 1):
        y = np.full(5, outcome)
        assert rows._block(np.arange(5.0), y, wanted) == {"n": 5, "events": 0, "sufficient": False, "auroc": unknown}


@pytest.mark.parametrize(("events", "sufficient"), [(99, False), (100, True)])
def test_a_block_of_a_hundred_events_is_sufficient(events: int, sufficient: bool) -> None:
    y = (np.arange(300) < events).astype(np.int64)
    assert rows._block(-np.arange(300.0), y, {"auroc": metrics.auroc}) == {
        "n": 300,
        "events": events,
        "sufficient": sufficient,
        "auroc": {"value": 1.0, "low": 1.0, "high": 1.0},
    }


def test_the_figures_of_a_file_are_of_everybody_and_of_every_group() -> None:
    """The threshold marks the highest tenth: of 100 people ten, of whom eight had the outcome, of sixteen in all."""
    probability = np.linspace(0.001, 0.999, 100)
    y = np.zeros(100, dtype=np.int64)
    y[92:] = 1
    y[:8] = 1
    sex = np.where(np.arange(100) % 2 == 0, "f", "m")
    evaluation = rows._evaluate(probability, y, {"sex": sex}, Path("people.csv"))
    assert evaluation["how"] == "people.csv: 100 rows. 95 % intervals: 300 bootstrap samples of rows."
    whole = evaluation["all"]
    assert (whole["n"], whole["events"], whole["sufficient"]) == (100, 16, False)
    assert whole["sensitivity"]["value"] == 0.5
    assert whole["false_positive_rate"]["value"] == round(2 / 84, 4)
    assert whole["observed_expected"]["value"] == round(16 / 50, 4)
    assert whole["brier"]["value"] == pytest.approx(float(np.mean((probability - y) ** 2)), abs=1e-4)
    assert [(group["axis"], group["group"], group["n"], group["events"]) for group in evaluation["subgroups"]] == [
        ("sex", "f", 50, 8),
        ("sex", "m", 50, 8),
    ]
    assert set(evaluation["subgroups"][0]) == {
        "axis", "group", "n", "events", "sufficient", "auroc", "observed_expected", "sensitivity",
        "false_positive_rate",
    }  # fmt: skip


AUDITED = {"label": {"audit": {"need": "illnesses", "words": "illnesses", "axis": "race"}}}


@pytest.mark.parametrize(
    ("product", "columns", "axes", "is_audited"),
    [
        (AUDITED, {"illnesses": "3"}, ["sex", "race and ethnicity"], True),
        (AUDITED, {"illnesses": "3"}, ["sex"], False),
        (AUDITED, {"other": "3"}, ["race"], False),
        ({"label": {}}, {"illnesses": "3"}, ["race"], False),
        ({}, {"illnesses": "3"}, ["race"], False),
    ],
)
def test_a_label_is_audited_where_need_and_axis_are_there(
    product: dict[str, Any], columns: dict[str, str], axes: list[str], is_audited: bool
) -> None:
    named = {axis: np.array([axis]) for axis in axes}
    audit = rows._audit(subject(product=product), [columns], np.array([0.25]), named, Path("people.csv"))
    assert (audit is not None) is is_audited
    if audit is not None:
        assert (audit.group.tolist(), audit.need.tolist(), audit.words, audit.axis) == (
            ["race and ethnicity"], [3.0], "illnesses", "",
        )  # fmt: skip


def test_an_empty_cell_is_missing_and_an_empty_group_is_not_recorded() -> None:
    cells = [{"a": " 1.5 "}, {"a": " "}, {"a": ""}]
    assert np.array_equal(rows._numbers(cells, "a", Path("p")), [1.5, np.nan, np.nan], equal_nan=True)
    assert rows._texts(cells, "a").tolist() == ["1.5", "not recorded", "not recorded"]
