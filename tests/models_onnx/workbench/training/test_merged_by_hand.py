"""Which values of a column an axis joins, scatters or hides: on columns of a few values, exactly at the limits."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from models_onnx.spec import ModelSpec
from models_onnx.workbench.training import merged
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.evaluate import ENOUGH_EVENTS


def _cohort(*counts: tuple[str | None, str | None, int]) -> tuple[ModelSpec, Cohort]:
    """So many events of each value, which the axis gives this name, and as many people without."""
    rows = [(value, name, event) for value, name, events in counts for event in (0, 1) for _ in range(events)]
    table = pd.DataFrame(rows, columns=["origin", "name", "event"]).astype({"origin": object, "name": object})
    spec = SimpleNamespace(subgroups={"race": lambda rows: rows["name"], "site": lambda rows: rows["name"]})
    cohort = SimpleNamespace(rows=table, y=table["event"].to_numpy(), weight=np.ones(len(table)))
    return cast(ModelSpec, spec), cast(Cohort, cohort)


@pytest.fixture(autouse=True)
def behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The axis of race is made from the column of origin."""
    monkeypatch.setattr(merged, "columns_behind_axes", lambda axes, _rows: {axis: {"origin"} for axis in axes})


def test_a_hundred_events_are_enough() -> None:
    assert ENOUGH_EVENTS == 100


@pytest.mark.parametrize(
    ("counts", "groups"),
    [
        ([("a", "all", 100), ("b", "all", 100), ("c", "c", 100)], ["origin a", "origin b"]),
        ([("a", "all", 100), ("b", "all", 99), ("c", "c", 100)], []),
        ([("a", "all", 100), ("b", "all", 99), ("c", "all", 100)], ["origin a", "origin c"]),
        ([("a", "A", 100), ("b", "B", 100)], []),
        ([("a", None, 100), ("b", None, 100)], []),
    ],
)
def test_values_that_an_axis_calls_by_one_name(counts: list[Any], groups: list[str]) -> None:
    found = list(merged._joined(*_cohort(*counts)))
    assert [(axis, group) for axis, group, _ in found] == [("race, within 'all'", group) for group in groups]
    for _, group, rows in found:
        events = next(number for value, _, number in counts if group == f"origin {value}")
        assert int(rows.sum()) == 2 * events


def test_people_who_were_not_followed_are_of_no_group() -> None:
    spec, cohort = _cohort(("a", "all", 101), ("b", "all", 100))
    cohort.weight[:202] = np.where(np.arange(202) < 2, 0.0, 1.0)
    found = list(merged._joined(spec, cohort))
    assert [int(rows.sum()) for _, _, rows in found] == [200, 200]
    cohort.weight[-1] = 0.0
    assert list(merged._joined(spec, cohort)) == []


@pytest.mark.parametrize(
    ("counts", "groups"),
    [
        ([("a", "a1", 60), ("a", "a2", 60), ("b", "b", 100)], ["a", "b"]),
        ([("a", "a1", 100), ("a", "a2", 60), ("b", "b", 100)], []),
        ([("a", "a1", 99), ("a", "a2", 60), ("b", "b", 100)], ["a", "b"]),
        ([("a", "a1", 50), ("a", "a2", 49), ("b", "b", 100), ("c", "c", 100)], []),
        ([("a", "a1", 60), ("a", "a2", 60), ("b", "b", 99)], []),
        ([("a", "a1", 50), ("a", "a2", 50), ("b", "b", 100), ("c", "c", 5)], ["a", "b"]),
    ],
)
def test_values_whose_events_an_axis_scatters(counts: list[Any], groups: list[str]) -> None:
    found = list(merged._scattered(*_cohort(*counts)))
    assert [(axis, group) for axis, group, _ in found] == [("race, by origin", group) for group in groups]
    for _, group, rows in found:
        assert int(rows.sum()) == 2 * sum(number for value, _, number in counts if value == group)


@pytest.mark.parametrize(
    ("value", "name", "events", "sentence"),
    [
        ("a", "not recorded", 100, "race: 'a' of the column origin counts as not recorded (100 events)"),
        ("a", "Unknown", 100, "race: 'a' of the column origin counts as not recorded (100 events)"),
        ("a", None, 1234, "race: 'a' of the column origin counts as not recorded (1,234 events)"),
        ("a", "unknown", 99, None),
        ("a", "other", 100, None),
        (" Unknown ", "unknown", 100, None),
        ("declined to say", "unknown", 100, None),
        ("N/A", "unknown", 100, None),
        ("??", "unknown", 100, None),
        (None, "unknown", 100, None),
        ("Undisclosed tribe", "unknown", 100, (
            "race: 'Undisclosed tribe' of the column origin counts as not recorded (100 events)"
        )),
    ],
)  # fmt: skip
def test_recorded_values_that_count_as_not_recorded(
    value: str | None, name: str | None, events: int, sentence: str | None
) -> None:
    spec, cohort = _cohort((value, name, events), ("b", "b", 100))
    assert merged.hidden_groups(spec, cohort) == (() if sentence is None else (sentence,))


def test_columns_of_many_values_are_no_names_and_only_axes_of_names_are_looked_at() -> None:
    for values, count in ((50, 1), (51, 0)):
        spec, cohort = _cohort(*[(f"v{number}", "x", 1) for number in range(values)])
        assert [axis for axis, *_ in merged._axes(spec, cohort)] == ["race"] * count


def test_people_who_were_not_followed_are_not_scattered() -> None:
    spec, cohort = _cohort(("a", "a1", 60), ("a", "a2", 60), ("b", "b", 101))
    cohort.weight[-1:] = 0.0
    found = {group: int(rows.sum()) for _, group, rows in merged._scattered(spec, cohort)}
    assert found == {"a": 240, "b": 201}, "the last of b, who had it, counts nowhere"
    cohort.weight[-2:] = 0.0
    assert sum(1 for _ in merged._scattered(spec, cohort)) == 0
