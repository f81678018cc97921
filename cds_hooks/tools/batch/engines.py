"""The same scoring as a step of Spark and Ray Data, for tables and for charts.

    frame.mapInArrow(TableStep("mortality_5y", "id", view), step.spark_schema())
    dataset.map_batches(RayTableStep, fn_constructor_args=("mortality_5y", "id", view), batch_format="pyarrow", ...)
    resources.repartition(32, "patient_id").sortWithinPartitions("patient_id").mapInArrow(
        ChartStep(as_of).sorted_batches, ChartStep.spark_schema)
    resources.repartition(32, keys=["patient_id"]).map_batches(
        ChartStep, fn_constructor_args=(as_of,), batch_size=None, batch_format="pyarrow", ...)

A step is sent to the workers as names and a view; each worker loads the model's files itself and checks them as
a server does. Spark and Ray are not imported here. docs/scoring-clusters.md has how a site runs it and what it costs.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from cds_hooks.call.trusted_models import folder_of, trust_site_keys
from cds_hooks.settings import Settings
from cds_hooks.tools.batch.charts import RawChart, grouped
from cds_hooks.tools.batch.run import Sent, in_batches
from cds_hooks.tools.batch.scoring import NUMBERS, SCORE_COLUMNS, Questions, questions_about, read_chart, scores_table
from models_onnx.batch import BatchModel, load
from models_onnx.batch.model import PLAIN_COLUMNS, TEXT_COLUMNS
from models_onnx.errors import BatchRefused


class TableStep(Sent):
    """Scores Arrow batches of a table: for `mapInArrow` of Spark, one iterator of batches for each partition.

    `view` is a SELECT from `rows` that says what the columns mean; `exclude` names columns whose yes leaves a person
    out.
    """

    def __init__(self, name: str, id_column: str, view: str = "", exclude: tuple[str, ...] = ()) -> None:
        super().__init__(name, id_column, view, exclude)
        self.name, self.id_column, self.view, self.exclude = name, id_column, view, exclude

    @cached_property
    def model(self) -> BatchModel:
        """The model, loaded when this worker first needs it."""
        configured = Settings()
        trust_site_keys(configured.model_keys)
        return load(self.name, folder_of(self.name, configured))

    def spark_schema(self) -> str:
        """Return the answer's columns with their types, as Spark takes them: the id as text, then those of `score`."""
        columns = (*PLAIN_COLUMNS, *self.model.explaining)
        typed = [f"{name} {'string' if name in TEXT_COLUMNS else 'double'}" for name in columns]
        return ", ".join(["id string", *typed])

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield the scored batches, those of each that comes."""
        for batch in batches:
            yield from self.scored(batch).to_batches()

    def scored(self, rows: Any) -> Any:
        """Return a Table or RecordBatch of Arrow as a Table with the id and the columns of `BatchModel.score`.

        Raises:
            BatchRefused: a column is missing or in another coding, or the view is wrong.
        """
        return self.model.score(rows, self.exclude, view=self.view, identity=self.id_column)


class RayTableStep(TableStep):
    """The same for `map_batches` of Ray Data, which asks an object for each batch; with `batch_format="pyarrow"`."""

    def __call__(self, batches: Any) -> Any:
        """Return the scored batch."""
        return self.scored(batches)


class ChartStep(Sent):
    """Scores charts in rows of resources: an Arrow table of whole patients, or batches in which patients lie together.

    A row has the columns `patient_id` and `resource` (the JSON of one resource); the answer has one row for each model
    in use and each output of each equation, with `SCORE_COLUMNS`. `as_of` is a time with its zone at or after the last
    change of the charts: what was written after it is not taken out here.
    """

    spark_schema: ClassVar[str] = ", ".join(
        f"{name} {'double' if name in NUMBERS else 'string'}" for name in SCORE_COLUMNS
    )

    def __init__(self, as_of: datetime, names: tuple[str, ...] = ()) -> None:
        if as_of.tzinfo is None:
            raise BatchRefused(
                "`as_of` must have a time zone, for example 2026-11-20T09:00:00+00:00. No chart was scored."
            )
        super().__init__(as_of, names)
        self.as_of, self.names = as_of, names

    @cached_property
    def questions(self) -> Questions:
        """What is asked of each chart, loaded when this worker first needs it."""
        return questions_about(self.names, Settings())

    def __call__(self, table: Any) -> Any:
        """Return the patients' scores of a Table or RecordBatch that holds each of its patients whole, in any order."""
        import pyarrow

        rows = pyarrow.table(table) if isinstance(table, pyarrow.RecordBatch) else table
        return pyarrow.concat_tables(self._scored(grouped([rows.sort_by("patient_id")])))

    def sorted_batches(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield the scores of batches with rows sorted by the patient, for `mapInArrow` of Spark; 200 charts at a time.

        Raises:
            BatchRefused: the rows are not sorted, so that a patient could be scored on half a chart.
        """
        for table in self._scored(grouped(batches)):
            yield from table.to_batches()

    def _scored(self, charts: Iterator[RawChart]) -> Iterator[Any]:
        flags = self.questions.opt_out_flags
        yield scores_table(self.questions, ())
        for batch in in_batches(charts):
            yield scores_table(self.questions, (read_chart(chart, self.as_of, opt_out_flags=flags) for chart in batch))
