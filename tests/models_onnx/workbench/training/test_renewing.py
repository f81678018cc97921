"""A new version from the table of outcomes; what a table tells of an input that knows the outcome."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from msgspec import UnsetType
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from cds_hooks.call.trusted_models import own_keys
from cds_hooks.settings import Settings
from cds_hooks.tools.commands.model.main import app
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model
from models_onnx.spec import ModelSpec
from models_onnx.workbench.gates.evidence import traced_groups
from models_onnx.workbench.metrics import logit, sigmoid
from models_onnx.workbench.training.data.cohort import build_cohort
from models_onnx.workbench.training.data.leaks import Reads, Suspicion, leaks_in_table
from tests.models_onnx.invented import INVENTED
from tests.models_onnx.workbench.compiler.people import exported
from tests.models_onnx.workbench.training.toy import declare, elsewhere, toy_table

pytestmark = pytest.mark.slow  # They train and judge whole models.

NAMES = ["age_years", "sex_male", "creatinine_mg_dl", "albumin_g_dl"]
Run = Callable[..., Any]


def _invoke(*words: object) -> Any:
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the model `toy_30d` is declared in `mine` and imported to `own`, with its key."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "mine").mkdir()
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(*elsewhere())
    (folder / "mine" / "toy.onnx").write_bytes(exported(pipeline).content)
    path = declare(folder / "mine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        told = _invoke("import", path, "--data", folder / "mine", "--out", folder / "own", "--replicates", 0)
        assert told.exit_code == 0, told.output
    return folder


@pytest.fixture
def run(trained_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The commands; the folder of the trained model and its signing key are copied for this test."""
    shutil.copytree(trained_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return _invoke


def outcomes_of(model: Model, path: Path, shift: float, slope: float = 1.0) -> pd.DataFrame:
    """Writes the table of `data --followed` of people whose risk is another than the model says."""
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
    return load_model("toy_30d@0.2.0", folder / "own", own_keys(Settings()))


def test_a_model_is_recalibrated_on_the_table_and_the_groups_are_those_recorded(run: Run, tmp_path: Path) -> None:
    before = load_model("toy_30d", tmp_path / "own", own_keys(Settings()))
    outcomes_of(before, tmp_path / "outcomes.csv", 1.0)
    after = renewed(run, tmp_path, "train", "toy_30d", "--table", tmp_path / "outcomes.csv")
    assert after.manifest.cohort.n > 2500
    assert after.manifest.evaluation["all"]["observed_expected"]["value"] == pytest.approx(1, abs=0.05)
    assert not isinstance(after.manifest.distributions, UnsetType)
    age, values = after.manifest.distributions["age_years"], pd.read_csv(tmp_path / "outcomes.csv")["age_years"]
    below = [(values <= cut).mean() for cut in age.cuts]
    assert below == pytest.approx(np.cumsum(age.shares)[:-1].tolist(), abs=0.01)
    axes = {group["axis"] for group in after.manifest.evaluation["subgroups"]}
    assert axes == {"sex", "age band", "race"}
    words = json.loads((tmp_path / "mine" / "toy_30d@0.2.0.card.json").read_text())
    assert words["product"]["fairness_axes"]["race"] == "all"
    assert words["product"]["data_last_year"] == 2026
    again = run("train", "toy_30d", "--table", tmp_path / "outcomes.csv", "--version", "0.2.0", "--folder",
                tmp_path / "own", "--specs", tmp_path / "mine")  # fmt: skip
    assert again.exit_code == 2
    assert "toy_30d@0.2.0 is there already" in again.output


def test_what_cannot_be_renewed_is_said_and_leaves_no_file(run: Run, tmp_path: Path) -> None:
    before = load_model("toy_30d", tmp_path / "own", own_keys(Settings()))
    table = outcomes_of(before, tmp_path / "outcomes.csv", 0.0)
    options = ["--folder", tmp_path / "own", "--specs", tmp_path / "mine"]
    table.drop(columns=["event"]).to_csv(tmp_path / "none.csv", index=False)
    told = run("train", "toy_30d", "--table", tmp_path / "none.csv", *options)
    assert (told.exit_code, "none.csv lacks event; cds-hooks data toy_30d --followed" in told.output) == (2, True)
    table.assign(event=0).to_csv(tmp_path / "nobody.csv", index=False)
    told = run("train", "toy_30d", "--table", tmp_path / "nobody.csv", *options, "--replicates", 0)
    assert (told.exit_code, "nothing can be learned from them" in told.output) == (2, True)
    assert not list((tmp_path / "mine").glob("*@*"))
    assert not list((tmp_path / "own").glob("*@*"))


def reading(**derived: Any) -> ModelSpec:
    """The invented model with other derived inputs, and without columns that it names as forbidden."""
    return replace(INVENTED, derived={**INVENTED.derived, **derived}, never_inputs=())


def leaks(spec: ModelSpec, rows: pd.DataFrame) -> tuple[str, ...]:
    """What knows the outcome in this table."""
    cohort = build_cohort(spec, rows)
    return leaks_in_table(spec, cohort, Reads.of(spec, rows))


def groups(spec: ModelSpec, rows: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the axes do not say."""
    return traced_groups(rows, Reads.of(spec, rows))


@pytest.mark.parametrize(
    "column_of",
    [
        lambda table: 85.0 + (table["race_ethnicity"] == "a").astype(float),
        lambda table: table["mcv_fl"] + 0.001 * (table["race_ethnicity"] == "a"),
    ],
)
def test_race_smuggled_in_under_another_name_is_found(rows: pd.DataFrame, column_of: Any) -> None:
    bad = reading(mcv_fl=column_of)
    found, _ = groups(bad, rows)
    assert any(said.startswith("mcv_fl is read from race_ethnicity") for said in found)


def test_a_column_that_was_renamed_is_found_by_the_axis_that_is_read_from_it(rows: pd.DataFrame) -> None:
    axes = {**INVENTED.subgroups, "race and ethnicity (fairness only)": lambda table: table["c17"]}
    bad = replace(reading(mcv_fl=lambda table: 85.0 + (table["c17"] == "a").astype(float)), subgroups=axes)
    found, _ = groups(bad, rows.rename(columns={"race_ethnicity": "c17"}))
    assert any(said.startswith("mcv_fl is read from c17, which makes the axis race") for said in found), found


@pytest.mark.parametrize("column", ["death", "followup_months"])
def test_an_input_read_from_a_column_behind_the_outcome_is_a_leak(rows: pd.DataFrame, column: str) -> None:
    bad = reading(mcv_fl=lambda each: 85.0 + each[column] / 10)
    assert leaks(bad, rows) == (f"mcv_fl is read from {column}, from which the outcome is read",)


def test_an_input_from_an_id_is_a_leak(rows: pd.DataFrame) -> None:
    bad = reading(mcv_fl=lambda table: 85 + table["participant_id"].str[9:].astype(float) / 100)
    found = leaks(bad, rows)
    assert any(each.startswith("mcv_fl is ") and "which only names a row" in each for each in found), found


def test_what_is_made_of_the_outcome_is_shown_and_a_date_that_may_be_booked_is_a_question(rows: pd.DataFrame) -> None:
    draw, died = np.random.default_rng(6), rows["death_5y"] == 1
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(2, 28, len(rows)), unit="D")
    table = rows.assign(
        weeks=np.where(died, draw.integers(1, 200, len(rows)), draw.integers(260, 900, len(rows))),
        index_date="2020-01-01",
        visit=day.strftime("%Y-%m-%d"),
    )
    for column, is_question in {"weeks": False, "visit": True}.items():
        bad = reading(mcv_fl=lambda each, name=column: 50 + pd.factorize(each[name], sort=True)[0] / 20)
        said = [leak for leak in leaks(bad, table) if leak.startswith("mcv_fl is ")]
        assert said, column
        assert all(isinstance(leak, Suspicion) for leak in said) is is_question, said


@pytest.mark.parametrize("times", [2, 7, 35])
def test_people_who_are_there_again_under_other_names_are_found(rows: pd.DataFrame, times: int) -> None:
    few = rows[:150]
    again = pd.concat([few.assign(participant_id=few["participant_id"].astype(str) + f"-{n}") for n in range(times)])
    found = leaks(INVENTED, again)
    assert any("rows repeat one of another patient" in leak for leak in found), found
