"""Percentile and observed rates of the file, at, below and above each limit."""

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import Groups, write_file
from models_onnx.workbench.compiler.graph import DOUBLE, Graph
from models_onnx.workbench.compiler.link import LOGIT
from models_onnx.workbench.compiler.reference import QUANTILES, Familiarity, Reference, build_reference
from tests.models_onnx.workbench.compiler.people import Array, BrokenLine, piecewise, says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE

onnxruntime = pytest.importorskip("onnxruntime")


def compared(reference: Reference, margins: list[float]) -> dict[str, list[float]]:
    """What the reference's part of a graph says about these margins."""
    graph = Graph()
    reference.write(graph, graph.input("margin", DOUBLE, ["N", 1]))
    content = graph.model("part", {}).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    told = session.run(names, {"margin": np.array(margins)[:, None]})
    return {name: values.tolist() for name, values in zip(names, told, strict=True)}


def test_a_margin_counts_the_quantiles_it_reaches() -> None:
    below = float(np.nextafter(-1.0, -2.0))
    told = compared(REFERENCE, [-99.0, -3.0, below, -1.0, 0.0, 1.0, 99.0])
    assert told["percentile"] == [0.0, 25.0, 25.0, 50.0, 50.0, 75.0, 75.0]
    assert told["observed_rate"] == [0.04, 0.04, 0.04, 0.6, 0.6, 0.6, 0.6]
    assert told["observed_count"] == [50.0] * 7


def test_the_first_bin_begins_below_everything() -> None:
    assert REFERENCE.margin_low(REFERENCE.bins[0]) == -np.inf
    assert REFERENCE.margin_low(REFERENCE.bins[1]) == -1.0


def cohort(people: int = 4000) -> Array:
    """Two inputs that rise together, a third that is nearly constant, gaps, and one wild value."""
    draw = np.random.default_rng(6)
    first = draw.normal(70, 10, people)
    X = np.column_stack([first, first * 2 + draw.normal(0, 3, people), (draw.random(people) < 0.01) * 1.0])
    X[draw.random(X.shape) < 0.1] = np.nan
    X[0, 0] = 1e6
    return X


def file_of(known: Familiarity) -> bytes:
    """A small model's file with this cohort in it."""
    lines = tuple(BrokenLine(name, (0.0,), (0.01,), 0.0, 200.0, 200.0) for name in ("a", "b", "c"))
    return write_file("m", piecewise(lines, 0.0), Reference(REFERENCE.quantiles, REFERENCE.bins, known), {})


@pytest.fixture(scope="module")
def known() -> Familiarity:
    """Of the cohort."""
    return Familiarity.of(cohort())


def test_one_in_a_thousand_of_the_cohort_is_beyond_its_own_limit(known: Familiarity) -> None:
    told = says(file_of(known), cohort())
    assert told["out_of_distribution"].mean() == pytest.approx(0.001, abs=0.0005)
    assert np.abs(told["distance"] - known.distance(cohort())).max() < 1e-5


def test_two_ordinary_values_that_never_go_together_are_unfamiliar(known: Familiarity) -> None:
    told = says(file_of(known), np.array([[90.0, 180.0, 0.0], [90.0, 100.0, 0.0], [50.0, 180.0, np.nan]]))
    assert told["out_of_distribution"].tolist() == [False, True, True]


def test_a_rare_yes_is_not_strange_by_itself(known: Familiarity) -> None:
    told = says(file_of(known), np.array([[70.0, 140.0, 1.0]]))
    assert told["distance"][0] < 0.7


def test_a_missing_value_is_never_what_makes_a_row_unfamiliar(known: Familiarity) -> None:
    told = says(file_of(known), np.full((1, 3), np.nan))
    assert told["distance"].tolist() == [0.0]


def test_infinite_values_are_unfamiliar_and_give_a_number(known: Familiarity) -> None:
    told = says(file_of(known), np.array([[np.inf, np.nan, 0.0], [-np.inf, np.inf, np.inf]]))
    assert told["out_of_distribution"].all()
    assert np.isfinite(told["distance"]).all()


def test_a_cohort_without_any_value_or_without_difference_still_gives_a_limit() -> None:
    X = cohort()
    X[:, 1], X[:, 2] = np.nan, 3.0
    known = Familiarity.of(X)
    assert np.isfinite(known.distance(X)).all()
    assert says(file_of(known), X)["distance"].max() < 20


FEATURES = ("age", "unit_a", "sex", "unit_b")


@pytest.mark.parametrize(
    ("declared", "refusal"),
    [
        ({"unit": ["unit_a", "ward", "bed"]}, "a group names bed, ward, which is not an input"),
        (
            {"a": ["age", "sex"], "b": ["sex", "age"]},
            "age, sex is in two groups; its contribution can be shown once only",
        ),
        ({"age": ["unit_a", "unit_b"]}, "a group is called like the input age, which is not in it"),
    ],
)
def test_groups_that_are_refused(declared: dict[str, list[str]], refusal: str) -> None:
    with pytest.raises(CompileRefused) as problem:
        Groups.of(FEATURES, declared)
    assert str(problem.value) == refusal


def _reference(y: list[int], weight: list[float] | None = None) -> list[tuple[int, int, int, float]]:
    """Start, people, events and rate of each bin; 200 people whose margins rise, ten of each twentieth."""
    margin = np.linspace(-3.0, 3.0, len(y))
    weights = np.ones(len(y)) if weight is None else np.array(weight)
    reference = build_reference(margin, margin, np.array(y), weights, LOGIT, None, (0, 25, 50, 75))
    return [(each.quantile, each.count, each.events, each.rate) for each in reference.bins]


def _quarters(*events: int) -> list[int]:
    return [int(number < count) for count in events for number in range(50)]


STEP = (QUANTILES + 1) // 4


def test_bins_whose_rates_rise_stay_apart_and_one_that_falls_joins_the_one_below() -> None:
    assert _reference(_quarters(5, 10, 10, 20)) == [
        (0, 50, 5, 0.1), (STEP, 50, 10, 0.2), (2 * STEP, 50, 10, 0.2), (3 * STEP, 50, 20, 0.4),
    ]  # fmt: skip
    assert _reference(_quarters(5, 10, 9, 20)) == [(0, 50, 5, 0.1), (STEP, 100, 19, 0.19), (3 * STEP, 50, 20, 0.4)]
    assert _reference(_quarters(20, 10, 5, 1)) == [(0, 200, 36, 0.18)]


def test_people_of_no_weight_are_in_no_bin_and_an_empty_bin_joins_its_neighbour() -> None:
    without_second = [1.0] * 50 + [0.0] * 50 + [1.0] * 100
    assert _reference(_quarters(5, 50, 10, 20), without_second) == [
        (0, 50, 5, 0.1), (2 * STEP, 50, 10, 0.2), (3 * STEP, 50, 20, 0.4),
    ]  # fmt: skip
    without_first = [0.0] * 50 + [1.0] * 150
    assert _reference(_quarters(0, 5, 10, 20), without_first) == [
        (0, 50, 5, 0.1), (2 * STEP, 50, 10, 0.2), (3 * STEP, 50, 20, 0.4),
    ]  # fmt: skip


def test_a_rate_counts_people_by_whom_they_stand_for_and_its_interval_those_who_were_seen() -> None:
    weight = [3.0 if number < 5 else 1.0 for number in range(50)] + [1.0] * 150
    first = build_reference(
        np.linspace(-3, 3, 200), np.linspace(-3, 3, 200), np.array(_quarters(5, 20, 30, 40)), np.array(weight),
        LOGIT, None, (0, 25, 50, 75),
    ).bins[0]  # fmt: skip
    assert (first.count, first.events, first.rate) == (50, 5, 0.25)
    assert 0.14 < first.low < 0.25 < first.high < 0.39
