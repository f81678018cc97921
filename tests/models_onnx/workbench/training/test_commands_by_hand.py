"""What an evaluation on other rows says of itself, and rows that a model was trained on."""

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from fhir.record.charts import ChartsRefused
from models_onnx.errors import TrainingRefused
from models_onnx.models.mortality_5y import SPEC
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.spec import Fitted
from models_onnx.workbench.training import commands
from models_onnx.workbench.training.commands import ExternalEvaluation
from models_onnx.workbench.training.data.cohort import build_cohort
from tests.models_onnx.invented import INVENTED


class _Sized(SimpleNamespace):
    """A cohort of so many rows."""

    def __len__(self) -> int:
        return int(self.count)


def test_an_evaluation_on_other_rows_says_of_whom_it_is(tmp_path: Path) -> None:
    rows = tmp_path / "others.csv"
    rows.write_bytes(b"a,b\n")
    manifest = SimpleNamespace(
        id="m", version="1.0", row_words="stays", file=SimpleNamespace(sha256="ab"), evaluation={"how": "Out of fold."}
    )
    cohort = _Sized(count=1234, y=np.array([1, 0, 1, 0]), weight=np.array([1.0, 1.0, 1.0, 0.0]))
    groups = [{"axis": "sex"}]
    told = ExternalEvaluation(
        cast(Any, SimpleNamespace(manifest=manifest)), rows, cast(Any, cohort), {"n": 3}, groups,
        np.array([0.1, 0.2, 0.9, 0.5]),
    )  # fmt: skip
    how = "On others.csv, 1,234 stays it was not trained on."
    assert told.manifest is cast(Any, manifest)
    assert told.how == how
    later = told.later()
    assert (later.id, later.version, later.sha256, later.rows, later.how, later.groups) == (
        "m", "1.0", "ab", "others.csv", how, groups,
    )  # fmt: skip
    assert later.rows_sha256 == hashlib.sha256(b"a,b\n").hexdigest()
    assert [(bin.low, bin.count, bin.events) for bin in told.bins(2)] == [(0.1, 1.0, 1.0), (0.2, 2.0, 1.0)]


def test_charts_of_ones_own_go_into_a_folder_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(TrainingRefused) as refused:
        commands.train_model("mortality_5y", tmp_path, ARTIFACTS, charts=tmp_path)
    assert str(refused.value) == "a model of your own charts goes into a folder of your own: give --out"
    with pytest.raises(ChartsRefused, match="holds no bundle"):
        commands.train_model("mortality_180d", tmp_path, tmp_path / "out", charts=tmp_path)


TRAINED_ON = (
    "{} is the table that the model was trained on: figures of people not trained on are those of 'cds-hooks model "
    "evaluate mortality_5y' without --rows"
)


@pytest.mark.parametrize(("repeated", "is_refused"), [(0, False), (20, False), (21, True), (200, True)])
def test_rows_of_the_training_table_under_other_names(
    repeated: int, is_refused: bool, rows: pd.DataFrame, tmp_path: Path
) -> None:
    """More than twenty, and more than one in a hundred."""
    eligible = build_cohort(INVENTED, rows).rows
    eligible.head(400).to_csv(tmp_path / SPEC.table, index=False, compression=None)
    other = eligible.iloc[[*range(repeated), *range(400, 700)]].reset_index(drop=True)
    other = other.assign(participant_id=[f"other-{number}" for number in range(len(other))])
    cohort, manifest = build_cohort(INVENTED, other), cast(Any, SimpleNamespace(data=SimpleNamespace(sha256="0")))
    path = tmp_path / "others.csv"
    other.to_csv(path, index=False)
    commands._refuse_training_rows(INVENTED, manifest, path, cohort, tmp_path / "no table is here")
    if not is_refused:
        commands._refuse_training_rows(INVENTED, manifest, path, cohort, tmp_path)
        return
    with pytest.raises(TrainingRefused) as refused:
        commands._refuse_training_rows(INVENTED, manifest, path, cohort, tmp_path)
    assert str(refused.value) == (
        f"{repeated} of the {repeated + 300} rows of others.csv repeat rows of {SPEC.table}, on which the model was "
        "trained: figures of people not trained on are those of 'cds-hooks model evaluate mortality_5y' without --rows"
    )


def test_the_table_itself_is_refused_unless_the_model_was_fitted_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,b\n1,2\n")
    manifest: Any = SimpleNamespace(data=SimpleNamespace(sha256=hashlib.sha256(path.read_bytes()).hexdigest()))
    with pytest.raises(TrainingRefused) as refused:
        commands._refuse_training_rows(SPEC, manifest, path, cast(Any, None), None)
    assert str(refused.value) == TRAINED_ON.format("rows.csv")
    elsewhere: Any = SimpleNamespace(estimator=Fitted("m.txt", trained_on="others"))
    commands._refuse_training_rows(elsewhere, manifest, path, cast(Any, None), None)
