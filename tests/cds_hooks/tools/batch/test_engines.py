"""Steps of Spark and Ray give the bits of the command line; real local Spark and real Ray, where they are installed."""

import csv
import importlib.util
import json
import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest

from cds_hooks.samples import list_samples, load_patient
from cds_hooks.settings import Settings
from cds_hooks.tools.batch.engines import ChartStep, RayTableStep, TableStep
from cds_hooks.tools.batch.run import FhirJob, score_folder
from cds_hooks.tools.kit.simulator.chart import resources_of
from models_onnx.batch import load
from models_onnx.batch.run import ScoringJob, score_table
from models_onnx.errors import BatchRefused
from tests.cds_hooks.samples.reading import AS_OF
from tests.models_onnx.invented import invented_table

PEOPLE = 2000


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The invented table as Arrow."""
    return pyarrow.Table.from_pandas(invented_table(people=PEOPLE), preserve_index=False)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What the command line writes of the same people."""
    folder = tmp_path_factory.mktemp("cli")
    invented_table(people=PEOPLE).to_csv(folder / "rows.csv", index=False)
    score_table(ScoringJob(load("mortality_5y"), folder / "rows.csv", folder / "s.csv", "participant_id", explain=True))
    with (folder / "s.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def same(rows: list[dict[str, Any]], known: list[dict[str, str]]) -> None:
    """Whether every number has the same bits, and every text the same words, in whichever order they came."""
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(known) == len(rows)
    for line in known:
        row = by_id[line["id"]]
        for name, text in line.items():
            value = row[name]
            if isinstance(value, float):
                assert value == float(text), (line["id"], name)
            else:
                assert (value or "") == text, (line["id"], name)


def resources() -> Any:
    """The samples' resources, one row each."""
    rows = [
        {"patient_id": sample.id, "resource": json.dumps(each)}
        for sample in list_samples()
        for each in resources_of(load_patient(sample.id, AS_OF))
    ]
    return pyarrow.Table.from_pylist(rows)


def charts_known(folder: Path) -> list[tuple[str, ...]]:
    """What the command line says of the samples."""
    (folder / "export").mkdir()
    for sample in list_samples():
        (folder / "export" / f"{sample.id}.json").write_text(json.dumps(load_patient(sample.id, AS_OF)))
    score_folder(FhirJob(folder / "export", AS_OF, folder / "s.csv", Settings()))
    with (folder / "s.csv").open(encoding="utf-8", newline="") as file:
        return sorted(tuple(row.values()) for row in csv.DictReader(file))


def as_lines(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The same of rows of a step."""
    return sorted(tuple(_written(value) for value in row.values()) for row in rows)


def _written(value: Any) -> str:
    return "" if value is None else str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def test_a_step_over_batches_gives_the_bits_of_the_command_line(table: Any, known: list[dict[str, str]]) -> None:
    step = pickle.loads(pickle.dumps(TableStep("mortality_5y", "participant_id")))  # noqa: S301 - our own object
    batches = list(step(iter(table.to_batches(max_chunksize=300))))
    assert len(batches) == -(-PEOPLE // 300)
    same([row for batch in batches for row in batch.to_pylist()], known)
    same(RayTableStep("mortality_5y", "participant_id")(table).to_pylist(), known)


def test_charts_in_groups_give_what_a_folder_gives(tmp_path: Path) -> None:
    step = pickle.loads(pickle.dumps(ChartStep(AS_OF)))  # noqa: S301 - our own object
    assert as_lines(step(resources()).to_pylist()) == charts_known(tmp_path)
    with pytest.raises(BatchRefused, match="time zone"):
        ChartStep(AS_OF.replace(tzinfo=None))


def test_batches_in_which_patients_lie_together_give_the_same_wherever_they_are_cut(tmp_path: Path) -> None:
    step = ChartStep(AS_OF)
    rows = resources().sort_by("patient_id")
    for size in (1, 7, 1000):
        found = [row for batch in step.sorted_batches(iter(rows.to_batches(size))) for row in batch.to_pylist()]
        assert as_lines(found) == as_lines(step(rows).to_pylist())
    assert not [row for batch in step.sorted_batches(iter([])) for row in batch.to_pylist()]


def test_half_a_chart_is_never_scored_in_silence() -> None:
    step = ChartStep(AS_OF)
    rows = resources().sort_by("patient_id")
    apart = pyarrow.concat_tables([rows, rows.slice(0, 1)])
    with pytest.raises(BatchRefused, match="not sorted by patient_id"):
        list(step.sorted_batches(iter(apart.to_batches())))
    for row in ({"patient_id": None, "resource": "{}"}, {"patient_id": "a", "resource": None}):
        with pytest.raises(BatchRefused, match="has no `patient_id` or no `resource`"):
            step(pyarrow.Table.from_pylist([{"patient_id": "a", "resource": "{}"}, row]))


def _needs(*modules: str) -> None:
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} is not installed (docs/scoring-clusters.md says how)")


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """A real local Spark with two executors' threads."""
    _needs("pyspark")
    if shutil.which("java") is None:
        pytest.skip("there is no java (Debian: default-jre-headless)")
    from pyspark.sql import SparkSession

    before = dict(os.environ)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.sql.shuffle.partitions", "2")
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("ERROR")
        yield session
        session.stop()
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_real_spark_gives_the_bits_of_the_command_line(spark: Any, known: list[dict[str, str]], tmp_path: Path) -> None:
    invented_table(people=PEOPLE).to_csv(tmp_path / "rows.csv", index=False)
    frame = spark.read.csv(str(tmp_path / "rows.csv"), header=True, inferSchema=True).repartition(3)
    step = TableStep("mortality_5y", "participant_id")
    same([row.asDict() for row in frame.mapInArrow(step, step.spark_schema()).collect()], known)
    of_charts = spark.createDataFrame(resources().to_pylist(), "patient_id string, resource string")
    scored = of_charts.groupBy("patient_id").applyInArrow(_apply(ChartStep(AS_OF)), ChartStep.spark_schema)
    known_of_charts = charts_known(tmp_path)
    assert as_lines([row.asDict() for row in scored.collect()]) == known_of_charts
    together = of_charts.repartition(3, "patient_id").sortWithinPartitions("patient_id")
    scored = together.mapInArrow(ChartStep(AS_OF).sorted_batches, ChartStep.spark_schema)
    assert as_lines([row.asDict() for row in scored.collect()]) == known_of_charts


def _apply(step: ChartStep) -> Any:
    """Spark tells by the signature whether a function wants the key of the group, and wants a plain function."""
    return lambda group: step(group)


def _start(ray: Any) -> None:
    for _ in range(3):
        try:
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200_000_000)
            return
        except Exception as error:  # Ray gives itself 30 seconds to start, which a busy machine exceeds
            ray.shutdown()
            said = type(error).__name__
    pytest.skip(f"Ray did not start on this machine in three attempts ({said})")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_real_ray_gives_the_bits_of_the_command_line(table: Any, known: list[dict[str, str]], tmp_path: Path) -> None:
    _needs("ray")
    import ray
    import ray.data

    _start(ray)
    try:
        dataset = ray.data.from_arrow(table).map_batches(
            RayTableStep,
            fn_constructor_args=("mortality_5y", "participant_id"),
            batch_format="pyarrow",
            batch_size=700,
            compute=ray.data.ActorPoolStrategy(size=1),
        )
        rows = [
            {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}
            for row in dataset.take_all()
        ]
        same(rows, known)
        charts = ray.data.from_arrow(resources()).repartition(3, keys=["patient_id"])
        scored = charts.map_batches(
            ChartStep,
            fn_constructor_args=(AS_OF,),
            batch_format="pyarrow",
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=1),
        )
        assert as_lines(scored.take_all()) == charts_known(tmp_path)
    finally:
        ray.shutdown()
