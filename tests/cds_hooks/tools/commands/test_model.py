"""`cds-hooks model`: what it prints, and the exit codes a pipeline relies on."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner, Result

from cds_hooks.call.services import services_for
from cds_hooks.settings import Settings
from cds_hooks.tools.commands.model.main import app
from models_onnx.errors import DeclarationError
from models_onnx.serving.registry import load_model
from tests.cds_hooks.call.prefetch.fetch_calls import app_client, silences
from tests.cds_hooks.calls import PLANNING, request_for
from tests.each import for_rows
from tests.models_onnx.invented import invented_table


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


def test_a_folder_without_the_table_is_a_usage_error(tmp_path: Path) -> None:
    told = run("train", "mortality_5y", "--data", str(tmp_path))
    assert told.exit_code == 2
    assert "CDS_DATA_DIR" in told.stderr


@pytest.mark.slow
def test_gates_with_rows_evaluate_the_committed_model_on_other_people(invented: Path) -> None:
    rows = str(invented / "tabular" / "nhanes_mortality.csv.gz")
    told = run("gates", "mortality_5y", "--rows", rows, "--replicates", "5", "--json")
    assert told.exit_code == 0
    document = json.loads(told.stdout)
    assert document["model"]["sha256"] == load_model("mortality_5y").manifest.file.sha256
    assert document["all"]["n"] > 0
    assert "was not trained on. All years" in run("gates", "mortality_5y", "--rows", rows, "--replicates", "0").stdout


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
