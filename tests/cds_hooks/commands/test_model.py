"""`cds-hooks model`: what it prints, and the exit codes a pipeline relies on."""

import json
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner, Result

from cds_hooks.commands.model.main import app
from cds_hooks.monitor import capacity
from cds_hooks.services import services_for
from cds_hooks.settings import Settings
from models_onnx.errors import DeclarationError
from models_onnx.serving.registry import load_model
from tests.cds_hooks.calls import PLANNING, request_for
from tests.cds_hooks.prefetch.fetch_calls import app_client, silences
from tests.each import for_rows
from tests.live import record_in
from tests.models_onnx.invented import invented_table
from tests.program import run_program


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an invented training table."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "tabular").mkdir()
    invented_table(people=3000).to_csv(folder / "tabular" / "nhanes_mortality.csv.gz", index=False)
    return folder


def run(*arguments: str) -> Result:
    """The command as typed after `cds-hooks model`."""
    return CliRunner().invoke(app, list(arguments))


def test_list_names_the_models_and_ends_well() -> None:
    told = run("list", "--json")
    assert told.exit_code == 0
    assert {each["state"] for each in json.loads(told.stdout)} == {"ready"}
    assert "mortality_5y" in run("list").stdout


def test_an_unknown_model_is_a_usage_error() -> None:
    for command in ("train", "evaluate", "sign", "capacity --capacity 4 --per-day 9"):
        told = run(*command.split()[:1], "no_such_model", *command.split()[1:])
        assert told.exit_code == 2
        assert "mortality_5y" in told.stderr


def test_a_folder_without_the_table_is_a_usage_error(tmp_path: Path) -> None:
    told = run("train", "mortality_5y", "--data", str(tmp_path))
    assert told.exit_code == 2
    assert "CDS_DATA_DIR" in told.stderr


@pytest.mark.slow
def test_evaluate_prints_figures_groups_and_floors(invented: Path) -> None:
    told = run("evaluate", "mortality_5y", "--data", str(invented), "--replicates", "5")
    for words in ("AUROC", "O/E", "age band", "What missing inputs do", "Thresholds", "Floor", "sha256"):
        assert words in told.stdout
    assert told.exit_code in (0, 1)
    assert told.exit_code == int("| **no** |" in told.stdout)


@pytest.mark.slow
def test_evaluate_scores_other_rows_with_the_committed_model(invented: Path) -> None:
    rows = str(invented / "tabular" / "nhanes_mortality.csv.gz")
    told = run("evaluate", "mortality_5y", "--rows", rows, "--replicates", "5", "--json")
    assert told.exit_code == 0
    document = json.loads(told.stdout)
    assert document["model"]["sha256"] == load_model("mortality_5y").manifest.file.sha256
    assert document["all"]["n"] > 0
    assert "these rows" in run("evaluate", "mortality_5y", "--rows", rows, "--replicates", "0").stdout


# `cds-hooks model capacity` finds the threshold for so many cards a day, and the setting takes it.
def _run(folder: Path, *options: str) -> CompletedProcess[str]:
    words = ("model", "capacity", "mortality_5y", *options)
    return run_program(*words, environment={"CDS_DATABASE_URL": record_in(folder)})


def test_forty_cards_a_day_of_six_hundred_patients_are_the_top_five_in_a_hundred(tmp_path: Path) -> None:
    found = _run(tmp_path, "--capacity", "40", "--per-day", "600", "--json")
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["chosen"] == 0.05
    by_share = {row["share"]: row for row in told["thresholds"]}
    assert by_share[0.05]["cards_a_day"] == pytest.approx(30)
    assert by_share[0.05]["ppv"]["value"] == 0.5707
    assert by_share[0.05]["ppv"]["low"] < 0.5707 < by_share[0.05]["ppv"]["high"]
    assert by_share[0.05]["needed"]["value"] == pytest.approx(1 / 0.5707)
    as_text = _run(tmp_path, "--capacity", "40", "--per-day", "600").stdout
    assert "CDS_ALERT_SHARE=mortality_5y=0.05" in as_text


def test_where_even_the_highest_are_too_many_it_says_so(tmp_path: Path) -> None:
    found = _run(tmp_path, "--capacity", "4", "--per-day", "600")
    assert found.returncode == 1
    assert "No tested threshold fits 4 cards a day: the top 1 in 100 would be 6.0 a day." in found.stdout


async def test_the_volume_comes_from_the_record_where_it_has_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_few = _run(tmp_path, "--capacity", "40")
    assert too_few.returncode == 2
    assert "The record has 0 patients whom mortality_5y scored in the last 28 days" in too_few.stderr
    now = datetime.now(UTC)
    async with app_client(tmp_path) as calls:
        for number, sample in enumerate(("planning-talk", "cirrhosis", "planning-talk", "healthy-adult")):
            request = json.dumps(request_for(PLANNING, "patient-view", sample, now))
            request = request.replace(f'"{sample}"', f'"p{number}"').replace(f"/{sample}", f"/p{number}")
            for _ in range(2):  # a patient counts once a day
                answered = await calls.post(f"/cds-services/{PLANNING}", json=json.loads(request))
                assert answered.status_code == 200, answered.text
    monkeypatch.setattr(capacity, "LEAST_SCORED", 1)
    told = json.loads(_run(tmp_path, "--capacity", "1", "--days", "1", "--json").stdout)
    scored = round(told["patients_a_day"])
    assert scored in (3, 4)  # the healthy adult may be outside of the population
    at_ten = next(row for row in told["thresholds"] if row["share"] == 0.1)
    assert at_ten["cards_a_day"] == pytest.approx(3)
    assert told["chosen"] is not None


def test_a_record_that_is_not_there_is_said(tmp_path: Path) -> None:
    words = ("model", "capacity", "mortality_5y", "--capacity", "40")
    found = run_program(*words, environment={"CDS_DATABASE_URL": f"sqlite:///{tmp_path}/none.sqlite3"})
    assert found.returncode == 2
    assert "--per-day gives the number of patients" in found.stderr


# The setting


@pytest.mark.parametrize(
    ("shares", "says_card"), [("", True), ("mortality_5y=0.01", False), ("mortality_5y=0.05,readmission_30d=0.1", True)]
)
async def test_the_share_of_one_model_is_its_threshold(tmp_path: Path, shares: str, *, says_card: bool) -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    async with app_client(tmp_path, as_of=now, alert_share=f"0.3,{shares}") as calls:
        request = request_for(PLANNING, "patient-view", "planning-talk", now)
        answered = await calls.post(f"/cds-services/{PLANNING}", json=request)
        assert bool(answered.json()["cards"]) is says_card
        assert (silences(answered).get("mortality_5y") == "below-threshold") is not says_card
        page = (await calls.get("/models/mortality_5y")).text
        share = {"": "30", "mortality_5y=0.01": "1"}.get(shares, "5")
        assert f"Cards are shown here to the highest {share} in 100 of the group" in page
        if says_card:
            explained = (await calls.get(f"/explain/{answered.json()['cards'][0]['uuid']}")).text
            assert f"the highest {share} in 100 of the group. Of 100 such cards, " in explained


@for_rows("shares", ["mortality_5y", "mortality_5y=0.6", "0.1,0.2", "mortality_5y=0", "a=0.1,a=0.2", "A b=0.1"])
def test_a_share_that_makes_no_sense_is_refused(shares: str) -> None:
    with pytest.raises(ValidationError):
        Settings(alert_share=shares)


def test_a_model_that_no_service_shows_is_refused() -> None:
    with pytest.raises(DeclarationError, match="CDS_ALERT_SHARE: no service shows a model mortality_9y; there are "):
        services_for(Settings(alert_share="mortality_9y=0.1"))


def test_a_record_is_not_read_where_the_number_is_given(tmp_path: Path) -> None:
    found = _run(tmp_path, "--capacity", "4", "--per-day", "600", "--database", "sqlite:///x")
    both = "--per-day gives the number of patients, so no record is read: leave out --database.\n"
    assert (found.returncode, found.stdout, found.stderr) == (2, "", both)
