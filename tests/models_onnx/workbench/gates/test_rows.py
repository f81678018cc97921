"""Invented rows for the gates: ordinary people, the same with missing values, and every edge of the inputs."""

import numpy as np
import pytest

from models_onnx.workbench.gates import rows
from tests.models_onnx.workbench.gates.formula import item

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
