"""From the columns of a study to the inputs by the names of the features, which `cds-hooks score` reads."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from models_onnx.artifact.files import whole_file
from models_onnx.errors import TrainingRefused
from models_onnx.spec import CohortExclusion, ModelSpec
from models_onnx.workbench.training.data.cohort import inputs_of, read_chunks

_AT_ONCE = 20_000


def study_inputs(spec: ModelSpec, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a study as `cds-hooks score` reads them: `id`, the inputs, and whom an exclusion leaves out.

    An exclusion that also holds at the bedside is a column of 0 and 1, called `deceased` or by its reason; one that
    reads a column that is not there says nothing.
    """
    columns = {"id": rows[spec.key].to_numpy()}
    columns |= dict(zip(spec.feature_names, inputs_of(spec, rows).T, strict=True))
    for exclusion in spec.exclusions:
        with suppress(KeyError, TypeError):  # no such column, or words in one that should be numbers
            if (name := exclusion_column(exclusion)) is not None:
                columns[name] = np.asarray(exclusion.leaves_out(rows), dtype=np.int64)
    return pd.DataFrame(columns)


def exclusion_column(exclusion: CohortExclusion) -> str | None:
    """Return the column of an exclusion; None for one by which nobody is left out at the bedside."""
    return "deceased" if exclusion.at_score == "deceased" else exclusion.reason if exclusion.at_score else None


def exclude_options(spec: ModelSpec) -> str:
    """Return the options of `cds-hooks score` that leave out whom the study leaves out."""
    columns = [column for exclusion in spec.exclusions if (column := exclusion_column(exclusion))]
    return "".join(f" --exclude {column}" for column in columns if column != "deceased")


def write_inputs(spec: ModelSpec, rows: Path, out: Path, progress: Callable[[int], None] = lambda _: None) -> int:
    """Write the inputs of a study's table as CSV, and return the number of rows.

    Raises:
        TrainingRefused: the table has no key, or cannot be read to its end; nothing is written then.
    """
    if out.exists() and out.samefile(rows):
        raise TrainingRefused(f"{out} is the table itself; write the inputs to another file")
    count = 0
    with whole_file(out) as draft:
        for part in read_chunks(spec, rows, _AT_ONCE):
            if spec.key not in part.columns:
                raise TrainingRefused(f"{rows.name} has no column {spec.key}, by which a line names its row")
            packed = "gzip" if out.suffix == ".gz" else None
            study_inputs(spec, part).to_csv(draft, mode="a", header=count == 0, index=False, compression=packed)
            count += len(part)
            progress(count)
    return count
