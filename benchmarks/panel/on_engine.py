"""Scores on a real local Spark or Ray, in a process of its own: `python -m benchmarks.panel.on_engine ENGINE …`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Literal

import pyarrow.parquet
import typer

from benchmarks.panel.people import AS_OF, MODEL
from cds_hooks.panel.engines import ChartStep, RayTableStep, TableStep
from models_onnx.panel import TableDeclaration

_RAY_ATTEMPTS = 5
DECLARED = TableDeclaration(none_has=frozenset({"pregnancy"}))


def run(
    engine: Annotated[Literal["spark", "ray"], typer.Argument()],
    kind: Annotated[Literal["charts", "table"], typer.Argument()],
    rows: Annotated[Path, typer.Option(help="Parquet: patient_id and resource, or the features.")],
    out: Annotated[Path, typer.Option(help="The folder of Parquet files that is written.")],
    cores: Annotated[int, typer.Option()] = 2,
    partitions: Annotated[int, typer.Option()] = 2,
) -> None:
    """Scores the rows; prints how long the engine took to start and to score, as JSON."""
    found = _engines[engine](kind, rows, out, cores, partitions)
    print(json.dumps(found))


def _on_spark(kind: str, rows: Path, out: Path, cores: int, partitions: int) -> dict[str, float]:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    began = perf_counter()
    session = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "2g")
        .config("spark.sql.shuffle.partitions", str(partitions))
        .config("spark.sql.adaptive.enabled", "false")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    started = perf_counter()
    frame = session.read.parquet(str(rows))
    if kind == "charts":
        step = ChartStep(AS_OF)
        apart = frame.repartition(partitions, "patient_id").sortWithinPartitions("patient_id")
        scored = apart.mapInArrow(step.sorted_batches, ChartStep.spark_schema)
    else:
        table_step = TableStep(MODEL, "id", DECLARED)
        scored = frame.repartition(partitions).mapInArrow(table_step, table_step.spark_schema())
    scored.write.parquet(str(out))
    ended = perf_counter()
    session.stop()
    return {"start_seconds": started - began, "score_seconds": ended - started}


def _on_ray(kind: str, rows: Path, out: Path, cores: int, partitions: int) -> dict[str, float]:
    import ray
    import ray.data

    began = perf_counter()
    _start_ray(ray, cores)
    started = perf_counter()
    actors: dict[str, Any] = {"batch_format": "pyarrow", "compute": ray.data.ActorPoolStrategy(size=cores)}
    # Through pyarrow, one block for each partition: Ray would read one file as one block.
    table = pyarrow.parquet.read_table(rows)
    if kind == "charts":
        dataset = ray.data.from_arrow(table).repartition(partitions, keys=["patient_id"])
        scored = dataset.map_batches(ChartStep, fn_constructor_args=(AS_OF,), batch_size=None, **actors)
    else:
        dataset = ray.data.from_arrow(table).repartition(partitions)
        scored = dataset.map_batches(
            RayTableStep, fn_constructor_args=(MODEL, "id", DECLARED), batch_size=10_000, **actors
        )
    scored.write_parquet(str(out))
    ended = perf_counter()
    ray.shutdown()
    return {"start_seconds": started - began, "score_seconds": ended - started}


def _start_ray(ray: Any, cores: int) -> None:
    """Ray gives its own processes 30 seconds to start and no setting changes that; a busy machine needs more."""
    for attempt in range(_RAY_ATTEMPTS):
        try:
            # Its processors are a count that actors and tasks claim. One more than there are actors is for the tasks
            # that read and write: without it a run with one actor never ends.
            ray.init(
                num_cpus=cores + 1,
                include_dashboard=False,
                log_to_driver=False,
                object_store_memory=2_000_000_000,
            )
            return
        except Exception:  # Ray raises a plain Exception for it
            ray.shutdown()
            if attempt == _RAY_ATTEMPTS - 1:
                raise


_engines: dict[str, Callable[[str, Path, Path, int, int], dict[str, float]]] = {"spark": _on_spark, "ray": _on_ray}

if __name__ == "__main__":
    typer.run(run)
