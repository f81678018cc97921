"""Fixtures of the models: an invented table, a model trained on it, and the committed one."""

from pathlib import Path

import pandas as pd
import pytest

from models_onnx.artifact.folder import Artifact
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model
from models_onnx.workbench.release.publishing import write_artifact
from models_onnx.workbench.training.commands import no_progress
from models_onnx.workbench.training.data.cohort import Cohort, build_cohort
from models_onnx.workbench.training.pipeline import train
from tests.models_onnx.invented import INVENTED, as_table, invented_table


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    """The invented table; take a copy before you change it."""
    return invented_table()


@pytest.fixture(scope="session")
def cohort(rows: pd.DataFrame) -> Cohort:
    """Its cohort."""
    return build_cohort(INVENTED, rows)


@pytest.fixture(scope="session")
def trained(rows: pd.DataFrame) -> Artifact:
    """The model trained on it, without intervals."""
    return train(INVENTED, as_table(rows), 1, 0, no_progress)


@pytest.fixture
def folder(trained: Artifact, tmp_path: Path) -> Path:
    """A folder of artifacts that holds that model."""
    write_artifact(tmp_path / trained.manifest.id, trained.manifest, trained.content)
    return tmp_path


@pytest.fixture(scope="session")
def mortality() -> Model:
    """The committed 5-year mortality model."""
    return load_model("mortality_5y")
