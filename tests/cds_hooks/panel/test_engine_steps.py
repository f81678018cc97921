"""Steps of Spark and Ray without Arrow: how batches become charts, what is sent to a worker, what is refused.

Arrow is no part of the quick tests: a fake holds columns as lists.
"""

import pickle
import sys
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cds_hooks.panel import engines
from cds_hooks.panel.chart_lines import ChartLines
from cds_hooks.panel.engines import ChartStep, RayTableStep, TableStep
from cds_hooks.panel.scoring import Score
from models_onnx.errors import PanelRefused
from models_onnx.panel import TableDeclaration

AS_OF = datetime(2026, 11, 20, tzinfo=UTC)
DECLARED = TableDeclaration(values={"sex": {"M": "male"}})


class Column(list[Any]):
    """A column whose type is written down when it is cast."""

    def to_pylist(self) -> list[Any]:
        """The values."""
        return list(self)

    def cast(self, kind: str) -> "Column":
        """Write the type before each value."""
        return Column((kind, value) for value in self)


class Table:
    """Columns by name."""

    def __init__(self, **columns: list[Any]) -> None:
        self.columns = {name: Column(values) for name, values in columns.items()}
        self.schema = SimpleNamespace(names=list(columns))

    def column(self, name: str) -> Column:
        """The column of this name."""
        return self.columns[name]

    @classmethod
    def from_pydict(cls, columns: dict[str, Any]) -> "Table":
        """A table of these columns."""
        return cls(**columns)

    def to_batches(self) -> list["Table"]:
        """The table in one batch."""
        return [self]


@pytest.fixture(autouse=True)
def arrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow as a fake."""
    fake: Any = ModuleType("pyarrow")
    fake.string, fake.float64, fake.Table = lambda: "text", lambda: "number", Table
    fake.array = lambda values, kind: Column(values).cast(kind)
    monkeypatch.setitem(sys.modules, "pyarrow", fake)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is asked: names of questions, and the charts that are scored together."""
    asked: list[Any] = []

    def questions(names: tuple[str, ...], _: Any) -> Any:
        asked.append(names)
        return SimpleNamespace(opt_out_flags="flags")

    def read(chart: ChartLines, as_of: datetime, opt_out_flags: str) -> Any:
        assert (as_of, opt_out_flags) == (AS_OF, "flags")
        return chart.patient_id, tuple(chart.lines)

    def score(_: Any, records: list[Any]) -> list[Score]:
        asked.append(records)
        return [Score(name, "m", value=float(len(lines)), percentile=50.0) for name, lines in records]

    monkeypatch.setattr(engines, "questions_about", questions)
    monkeypatch.setattr(engines, "read_chart", read)
    monkeypatch.setattr(engines, "score_records", score)
    monkeypatch.setattr(engines, "PATIENTS_AT_ONCE", 2)
    return asked


def rows(*patients: str) -> Table:
    """A row of a resource for each of these patients."""
    return Table(patient_id=list(patients), resource=[f"r{number}" for number in range(len(patients))])


def test_charts_in_any_order_are_scored_two_at_a_time(asked: list[Any]) -> None:
    step = ChartStep(AS_OF, ("m",))
    scored = step(rows("b", "a", "b", "c"))
    assert asked == [("m",), [("b", (b"r0", b"r2")), ("a", (b"r1",))], [("c", (b"r3",))]]
    assert {name: list(column) for name, column in scored.columns.items()} == {
        "patient_id": [("text", "b"), ("text", "a"), ("text", "c")],
        "name": [("text", "m")] * 3,
        "output": [("text", "")] * 3,
        "by": [("text", "")] * 3,
        "value": [("text", "2.0"), ("text", "1.0"), ("text", "1.0")],
        "unit": [("text", "1")] * 3,
        "percentile": [("number", 50.0)] * 3,
        "band": [("text", "")] * 3,
        "reason": [("text", "")] * 3,
        "reason_text": [("text", "")] * 3,
    }
    assert list(scored.columns) == [part.split()[0] for part in step.spark_schema.split(", ")]
    assert step.spark_schema.count("double") == 1
    assert "percentile double" in step.spark_schema
    step(rows("a"))
    assert asked.count(("m",)) == 1  # the questions are found once


def test_a_score_without_a_value_has_none(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "score_records", lambda *_: [Score("a", "m", reason="missing")])
    assert list(ChartStep(AS_OF)(rows("a")).columns["value"]) == [("text", None)]
    assert asked == [()]


def test_sorted_batches_are_scored_where_a_patient_ends(asked: list[Any]) -> None:
    batches = list(ChartStep(AS_OF).sorted_batches(iter([rows("a", "a", "b"), rows("b", "c"), rows("d", "e")])))
    assert [[text for _, text in batch.columns["patient_id"]] for batch in batches] == [["a", "b"], ["c", "d"], ["e"]]
    assert asked == [
        (),
        [("a", (b"r0", b"r1")), ("b", (b"r2", b"r0"))],
        [("c", (b"r1",)), ("d", (b"r0",))],
        [("e", (b"r1",))],
    ]


def test_half_a_chart_and_rows_of_nobody_are_refused(asked: list[Any]) -> None:
    with pytest.raises(PanelRefused, match="not sorted by patient_id"):
        list(ChartStep(AS_OF).sorted_batches(iter([rows("a", "b"), rows("a")])))
    for table in (rows("a", ""), Table(patient_id=["a"], resource=[None])):
        with pytest.raises(PanelRefused, match="names no patient or has no resource"):
            ChartStep(AS_OF)(table)
    with pytest.raises(PanelRefused, match="needs a time zone"):
        ChartStep(AS_OF.replace(tzinfo=None))
    assert asked == []


def test_a_worker_is_sent_names_and_no_models(asked: list[Any]) -> None:
    step = ChartStep(AS_OF, ("m",))
    step(rows("a"))
    again = pickle.loads(pickle.dumps(step))  # noqa: S301 - our own object
    assert (again.as_of, again.names, again._questions) == (AS_OF, ("m",), None)
    assert asked[0] == ("m",)
    of_table = TableStep("m", "id", DECLARED)
    of_table._model = object()  # type: ignore[assignment]
    sent = pickle.loads(pickle.dumps(of_table))  # noqa: S301 - our own object
    assert (sent.name, sent.id_column, sent.declared, sent._model) == ("m", "id", DECLARED, None)


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> TableStep:
    """A step over tables whose model gives one answer a row; it may be loaded once."""
    answers = Table(
        probability=[0.1, 0.2], model=["m", "m"], reason=[None, None], reason_text=["", ""], not_used=["", ""]
    )
    loaded: list[Any] = []

    def load(name: str, folder: Any) -> Any:
        loaded.append((name, folder))
        assert loaded == [("m", "the folder of m")]
        score: Any = lambda _, declared: answers if declared is DECLARED else None  # noqa: E731
        return SimpleNamespace(explained=("why",), score=score)

    monkeypatch.setattr(engines, "load", load)
    monkeypatch.setattr(engines, "folder_of", lambda name, _: f"the folder of {name}")
    monkeypatch.setattr(engines, "trust_site_keys", lambda _: None)
    return TableStep("m", "id", DECLARED)


def test_a_table_is_answered_with_its_ids_as_text(step: TableStep) -> None:
    table = Table(id=[7, 8], age=[50, 60])
    expected = {
        "id": [("text", 7), ("text", 8)],
        "probability": [0.1, 0.2],
        "model": [("text", "m")] * 2,
        "reason": [("text", None)] * 2,
        "reason_text": [("text", "")] * 2,
        "not_used": [("text", "")] * 2,
    }
    for answer in step(iter([table, table])):
        assert {name: list(column) for name, column in answer.columns.items()} == expected
    ray = RayTableStep("m", "id", DECLARED)
    ray._model = step.model
    assert {name: list(column) for name, column in ray(table).columns.items()} == expected
    with pytest.raises(PanelRefused, match="The table has no column 'id' to name its rows by"):
        step.scored(Table(mrn=[1]))


def test_the_columns_have_their_types_for_spark(step: TableStep) -> None:
    assert step.spark_schema() == (
        "id string, probability double, percentile double, model string, reason string, reason_text string, "
        "not_used string, base double, why double"
    )
