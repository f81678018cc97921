"""`cds-hooks model evaluate`: what is refused as people whom the model has not seen."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cds_hooks.commands.model.main import app
from tests.models_onnx.workbench.training.toy import toy_table, train


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a trained model of its own, its declaration and its table."""
    monkeypatch.setenv("CDS_MODEL_SIGNING_KEY", str(tmp_path / "key.pem"))
    text = 'subgroups={"sex": lambda table: table["sex"]}'
    age = '"age band": lambda table: (table["age_years"] // 30).astype(str)'
    bands = f'subgroups={{"sex": lambda table: table["sex"], {age}}}'
    assert train(tmp_path, toy_table(), {text: bands}).exit_code == 0
    return tmp_path


def run(*words: object) -> Any:
    """The command as typed after `cds-hooks model`."""
    return CliRunner().invoke(app, list(map(str, words)))


def test_people_whom_the_model_was_trained_on_are_refused_as_others(own: Path) -> None:
    options = ["--folder", own / "trained", "--specs", own, "--data", own, "--replicates", "0"]
    told = run("evaluate", "toy_30d", *options, "--rows", own / "toy_30d.csv")
    assert (told.exit_code, "is the table that the model was trained on" in told.output) == (2, True)
    half = toy_table().sample(frac=0.5, random_state=1)
    half.assign(patient=[f"other-{number}" for number in range(len(half))]).to_csv(own / "half.csv", index=False)
    told = run("evaluate", "toy_30d", *options, "--rows", own / "half.csv")
    assert (told.exit_code, "repeat rows of toy_30d.csv" in " ".join(told.output.split())) == (2, True), told.exception
