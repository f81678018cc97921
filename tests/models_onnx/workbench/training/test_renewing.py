"""A new version from the table of outcomes: the declared estimator, trained again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cds_hooks.commands.model.main import app
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model
from models_onnx.workbench.metrics import logit, sigmoid
from models_onnx.workbench.release.documentation import model_page
from tests.models_onnx.workbench.training.template import write_template
from tests.models_onnx.workbench.training.toy import complete, toy_table

NAMES = ["age_years", "sex_male", "creatinine_mg_dl", "albumin_g_dl"]
Run = Callable[..., Any]


def _invoke(*words: object) -> Any:
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the model `toy_30d` is declared in `mine` and trained in `own`, with the key that signed it."""
    folder = tmp_path_factory.mktemp("trained")
    write_template("toy_30d", folder / "mine")
    complete(folder / "mine" / "toy_30d.card.json")
    toy_table().to_csv(folder / "toy_30d.csv", index=False)
    options = ["--specs", folder / "mine", "--data", folder, "--out", folder / "own", "--replicates", 0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDS_MODEL_SIGNING_KEY", str(folder / "key.pem"))
        told = _invoke("train", "toy_30d", *options)
        assert told.exit_code == 0, told.output
        assert _invoke("list", "--folder", folder / "own", "--specs", folder / "mine").exit_code == 0
    return folder


@pytest.fixture
def run(trained_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The commands; the folder of the trained model and its signing key are copied for this test."""
    shutil.copytree(trained_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("CDS_MODEL_SIGNING_KEY", str(tmp_path / "key.pem"))
    return _invoke


def outcomes_of(model: Model, path: Path, shift: float, slope: float = 1.0) -> pd.DataFrame:
    """Writes the table of `model dataset` of people whose risk is another than the model says."""
    people, draw = toy_table(3000).drop(columns=["patient", "event", "fold"]), np.random.default_rng(5)
    people["sex_male"] = people.pop("sex").map({"male": 1.0, "female": 0.0})
    people = people[people["age_years"] >= 18]
    estimate = model.predict_rows(people[NAMES].to_numpy(dtype=np.float64)).probability
    happened = draw.random(len(people)) < sigmoid(shift + slope * logit(estimate))
    table = people.assign(
        row=[f"d{number}" for number in range(len(people))],
        patient=[f"{number // 2:016x}" for number in range(len(people))],
        fold=[number // 2 % 5 for number in range(len(people))],
        year=2026,
        race=draw.choice(["Asian", "White", ""], len(people)),
        ethnicity="",
        event=happened.astype(int),
        estimate=estimate,
        estimated_by="1.0.0",
    )
    table.to_csv(path, index=False)
    return table


def renewed(run: Run, folder: Path, *words: object) -> Model:
    told = run(*words, "--folder", folder / "own", "--specs", folder / "mine", "--replicates", 0)
    assert told.exit_code == 0, told.output
    return load_model("toy_30d@0.2.0", folder / "own")


def test_the_declared_estimator_is_trained_on_the_table_and_the_groups_are_those_recorded(
    run: Run, tmp_path: Path
) -> None:
    before = load_model("toy_30d", tmp_path / "own")
    outcomes_of(before, tmp_path / "outcomes.csv", 1.0)
    after = renewed(run, tmp_path, "train", "toy_30d", "--table", tmp_path / "outcomes.csv")
    assert after.manifest.cohort.n > 2500
    assert after.manifest.evaluation["all"]["observed_expected"]["value"] == pytest.approx(1, abs=0.05)
    axes = {group["axis"] for group in after.manifest.evaluation["subgroups"]}
    assert axes == {"sex", "age band", "race"}
    words = json.loads((tmp_path / "mine" / "toy_30d@0.2.0.card.json").read_text())
    assert words["product"]["fairness_axes"]["race"] == "all"
    assert words["product"]["data_last_year"] == 2026
    again = run("train", "toy_30d", "--table", tmp_path / "outcomes.csv", "--version", "0.2.0", "--folder",
                tmp_path / "own", "--specs", tmp_path / "mine")  # fmt: skip
    assert again.exit_code == 2
    assert "toy_30d@0.2.0 is there already" in again.output


def test_the_gates_compile_the_new_version_again_from_its_own_table(run: Run, tmp_path: Path) -> None:
    before = load_model("toy_30d", tmp_path / "own")
    outcomes_of(before, tmp_path / "outcomes.csv", 0.9)
    renewed(run, tmp_path, "train", "toy_30d", "--table", tmp_path / "outcomes.csv")
    options = ["--folder", tmp_path / "own", "--specs", tmp_path / "mine", "--data", tmp_path, "--json"]
    told = json.loads(run("gates", "toy_30d@0.2.0", *options).stdout)
    states = {result["gate"]: result for result in told["report"]["results"]}
    for gate in ("G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8", "G12", "G16", "G17"):
        assert states[gate]["status"] == "passed", states[gate]
    assert "fitted on" not in states["G14"]["why"], "provenance holds"


@pytest.mark.slow
def test_another_site_gets_a_report_and_a_proposal_that_mends_its_calibration(run: Run, tmp_path: Path) -> None:
    before = load_model("toy_30d", tmp_path / "own")
    options = ["--folder", tmp_path / "own", "--specs", tmp_path / "mine", "--replicates", 50]
    site = outcomes_of(before, tmp_path / "unused.csv", 1.1)
    site["sex"] = site["sex_male"].map({1.0: "male", 0.0: "female"})
    elsewhere = tmp_path / "elsewhere.csv"
    site[["patient", "row", "age_years", "sex", "creatinine_mg_dl", "albumin_g_dl", "event"]].assign(
        patient=site["row"]
    ).to_csv(elsewhere, index=False)
    told = run("evaluate", "toy_30d", "--rows", elsewhere, *options)
    assert told.exit_code == 0, told.output
    printed = " ".join(told.output.split())
    assert f"cds-hooks model train toy_30d --table {elsewhere} --out" in printed, printed
    after = renewed(run, tmp_path, "train", "toy_30d", "--table", elsewhere)
    figures = after.manifest.evaluation["all"]
    assert figures["observed_expected"]["value"] == pytest.approx(1, abs=0.05)
    page = model_page(after.manifest, None)
    assert "all (elsewhere.csv, years not recorded)" in page, "no figure is of the people whom it was fitted on first"
    assert not [words for words in ("latest (", "re-estimated") if words in page]
    trained_on = tmp_path / "toy_30d.csv"
    shuffled = pd.read_csv(trained_on).sample(frac=1, random_state=2)
    noise = np.random.default_rng(3).normal(0, 0.01, len(shuffled))
    shuffled.assign(albumin_g_dl=shuffled["albumin_g_dl"] + noise).to_csv(tmp_path / "alike.csv", index=False)
    told = run("evaluate", "toy_30d", "--rows", tmp_path / "alike.csv", *options)
    assert "No new version is proposed" in told.output


def test_what_cannot_be_renewed_is_said_and_leaves_no_file(run: Run, tmp_path: Path) -> None:
    before = load_model("toy_30d", tmp_path / "own")
    table = outcomes_of(before, tmp_path / "outcomes.csv", 0.0)
    options = ["--folder", tmp_path / "own", "--specs", tmp_path / "mine"]
    table.drop(columns=["event"]).to_csv(tmp_path / "none.csv", index=False)
    told = run("train", "toy_30d", "--table", tmp_path / "none.csv", *options)
    assert (told.exit_code, "none.csv lacks event; cds-hooks model dataset toy_30d" in told.output) == (2, True)
    draw = np.random.default_rng(1)
    table.assign(event=draw.integers(0, 2, len(table))).to_csv(tmp_path / "noise.csv", index=False)
    told = run("train", "toy_30d", "--table", tmp_path / "noise.csv", *options, "--replicates", 0)
    assert (told.exit_code, "floor of the declaration does not hold" in told.output) == (1, True)
    assert not list((tmp_path / "mine").glob("*@*"))
    assert not list((tmp_path / "own").glob("*@*"))
