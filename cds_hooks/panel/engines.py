"""The same scoring as a step of Spark and Ray Data, for tables and for charts.

    frame.mapInArrow(TableStep("mortality_5y", "id", declared), step.spark_schema())
    dataset.map_batches(RayTableStep, fn_constructor_args=("mortality_5y", "id", declared), batch_format="pyarrow", ...)
    resources.repartition(32, "patient_id").sortWithinPartitions("patient_id").mapInArrow(
        ChartStep(as_of).sorted_batches, ChartStep.spark_schema)
    resources.repartition(32, keys=["patient_id"]).map_batches(
        ChartStep, fn_constructor_args=(as_of,), batch_size=None, batch_format="pyarrow", ...)

A step is sent to the workers as names and declarations; each worker loads the model's files itself and checks them as
a server does. Spark and Ray are not imported here. docs/scoring-clusters.md has how a site runs it and what it costs.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

from cds_hooks.panel.chart_lines import ChartLines
from cds_hooks.panel.run import PATIENTS_AT_ONCE
from cds_hooks.panel.scoring import PanelQuestions, Score, read_chart, score_records
from cds_hooks.panel.selection import questions_about
from cds_hooks.settings import Settings
from cds_hooks.trusted_models import folder_of, trust_site_keys
from models_onnx.errors import PanelRefused
from models_onnx.panel import PanelModel, TableDeclaration, load
from models_onnx.panel.frames import NOTHING_DECLARED, PLAIN_COLUMNS

_TEXTS = frozenset({"model", "reason", "reason_text", "not_used"})


class TableStep:
    """Scores Arrow batches of a table: for `mapInArrow` of Spark, one iterator of batches for each partition."""

    def __init__(self, name: str, id_column: str, declared: TableDeclaration = NOTHING_DECLARED) -> None:
        self.name, self.id_column, self.declared = name, id_column, declared
        self._model: PanelModel | None = None

    def __getstate__(self) -> tuple[str, str, TableDeclaration]:
        """What is sent to a worker: never the loaded model."""
        return self.name, self.id_column, self.declared

    def __setstate__(self, state: tuple[str, str, TableDeclaration]) -> None:
        self.name, self.id_column, self.declared = state
        self._model = None

    @property
    def model(self) -> PanelModel:
        """The model, loaded when this worker first needs it."""
        if self._model is None:
            configured = Settings()
            trust_site_keys(configured.model_keys)
            self._model = load(self.name, folder_of(self.name, configured))
        return self._model

    def spark_schema(self) -> str:
        """The columns of the answer with their types, as Spark takes them: the id as text, then those of `score`."""
        columns = (*PLAIN_COLUMNS, *self.model.explained)
        typed = [f"{name} {'string' if name in _TEXTS else 'double'}" for name in columns]
        return ", ".join(["id string", *typed])

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The scored batches, one for each that comes."""
        for batch in batches:
            yield self.scored(batch)

    def scored(self, table: Any) -> Any:
        """Returns a Table or RecordBatch of Arrow as one with the id and the columns of `PanelModel.score`.

        Raises:
            PanelRefused: a column is missing or in a coding or unit that nobody declared.
        """
        import pyarrow

        if self.id_column not in table.schema.names:
            raise PanelRefused(f"The table has no column {self.id_column!r} to name its rows by.")
        answers = self.model.score(table, self.declared)
        ids = table.column(self.id_column).cast(pyarrow.string())
        columns = {"id": ids, **{name: answers.column(name) for name in answers.schema.names}}
        for name in _TEXTS:  # a column without a single text would have no type
            columns[name] = columns[name].cast(pyarrow.string())
        return type(table).from_pydict(columns)


class RayTableStep(TableStep):
    """The same for `map_batches` of Ray Data, which asks an object for each batch; with `batch_format="pyarrow"`."""

    def __call__(self, batches: Any) -> Any:
        """The scored batch."""
        return self.scored(batches)


class ChartStep:
    """Scores charts in rows of resources: an Arrow table of whole patients, or batches in which patients lie together.

    A row has the columns `patient_id` and `resource` (the JSON of one resource); the answer has one row for each model
    in use and each output of each equation, with the columns of `Score`. `as_of` is a time with its zone at or after
    the last change of the charts: what was written after it is not taken out here.
    """

    spark_schema: ClassVar[str] = ", ".join(
        f"{name} {'double' if name == 'percentile' else 'string'}" for name in Score.__struct_fields__
    )

    def __init__(self, as_of: datetime, names: tuple[str, ...] = ()) -> None:
        if as_of.tzinfo is None:
            raise PanelRefused("The time as of which charts are scored needs a time zone.")
        self.as_of, self.names = as_of, names
        self._questions: PanelQuestions | None = None

    def __getstate__(self) -> tuple[datetime, tuple[str, ...]]:
        """What is sent to a worker: never the loaded models."""
        return self.as_of, self.names

    def __setstate__(self, state: tuple[datetime, tuple[str, ...]]) -> None:
        self.as_of, self.names = state
        self._questions = None

    def __call__(self, table: Any) -> Any:
        """The scores of the patients of a Table or RecordBatch that holds each of its patients whole, in any order."""
        charts: dict[str, ChartLines] = {}
        for patient, resource in _rows(table):
            charts.setdefault(patient, ChartLines(patient)).lines.append(resource)
        return self._scored(list(charts.values()))

    def sorted_batches(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The scores of batches whose rows are sorted by the patient, for `mapInArrow` of Spark; 200 charts at a time.

        Raises:
            PanelRefused: the rows are not sorted, so that a patient could be scored on half a chart.
        """
        charts: list[ChartLines] = []
        last = ""
        for batch in batches:
            for patient, resource in _rows(batch):
                if patient < last:
                    raise PanelRefused("The rows are not sorted by patient_id: sortWithinPartitions('patient_id').")
                if patient != last:
                    if len(charts) >= PATIENTS_AT_ONCE:
                        yield from self._scored(charts).to_batches()
                        charts = []
                    charts.append(ChartLines(patient))
                    last = patient
                charts[-1].lines.append(resource)
        yield from self._scored(charts).to_batches()

    def _scored(self, charts: list[ChartLines]) -> Any:
        if self._questions is None:
            self._questions = questions_about(self.names, Settings())
        scores: list[Score] = []
        for start in range(0, len(charts), PATIENTS_AT_ONCE):
            some = charts[start : start + PATIENTS_AT_ONCE]
            flags = self._questions.opt_out_flags
            records = [read_chart(chart, self.as_of, opt_out_flags=flags) for chart in some]
            scores += score_records(self._questions, records)
        return _as_arrow(scores)


def _rows(table: Any) -> Iterator[tuple[str, bytes]]:
    columns = (table.column(name).to_pylist() for name in ("patient_id", "resource"))
    for patient, resource in zip(*columns, strict=True):
        if not patient or resource is None:
            raise PanelRefused("A row of resources names no patient or has no resource: leave such rows out first.")
        yield patient, resource.encode()


def _as_arrow(scores: list[Score]) -> Any:
    import pyarrow

    names = Score.__struct_fields__
    texts = {name: [_text(getattr(score, name)) for score in scores] for name in names if name != "percentile"}
    arrays = {name: pyarrow.array(values, pyarrow.string()) for name, values in texts.items()}
    arrays["percentile"] = pyarrow.array([score.percentile for score in scores], pyarrow.float64())
    return pyarrow.Table.from_pydict({name: arrays[name] for name in names})


def _text(value: object) -> str | None:
    return None if value is None else str(value)
