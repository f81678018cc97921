"""`cds-hooks model evaluate`: the report as a page and the figures that the pages of a model show later."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import httpx
import pytest
from typer.testing import CliRunner

from cds_hooks.commands.model.main import app
from cds_hooks.commands.model.mlflow import run_metrics
from models_onnx.artifact.folder import read_manifest
from models_onnx.model_card.evaluation_file import FILE
from models_onnx.serving.registry import ARTIFACTS, load_model
from models_onnx.workbench.release.documentation import model_page
from tests.live import free_port
from tests.models_onnx.workbench.training.test_mistakes import train
from tests.models_onnx.workbench.training.test_template import toy_table


class Parts(HTMLParser):
    """Counts elements and keeps what could load something."""

    def __init__(self) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.loads += [value for name, value in attrs if name in ("src", "href", "style", "onclick")]


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


def test_the_report_has_curves_effects_and_rates_at_equal_ages_and_loads_nothing(own: Path) -> None:
    page, later = own / "report.html", own / "trained" / FILE.format(id="toy_30d")
    options = ["--folder", own / "trained", "--specs", own, "--data", own, "--replicates", "0"]
    told = run("evaluate", "toy_30d", *options, "--html", page, "--out", later)
    assert told.exit_code == 0, told.output
    assert "net benefit in 100" in " ".join(told.stdout.split())
    assert "at equal ages" in told.stdout
    parts = Parts()
    parts.feed(page.read_text())
    assert parts.count["svg"] == parts.count["figure"] == 5 + 4
    assert "script" not in parts.count
    assert parts.loads == []
    assert {"sensitivity_standardised"} <= set(json.loads(later.read_text())["groups"][0])
    shown = model_page(load_model("toy_30d", own / "trained").manifest, own / "trained")
    assert "## Error rates of groups at equal ages" in shown
    assert "Computed after the model was signed" in shown


def test_the_report_of_other_rows_is_of_those_rows(own: Path) -> None:
    page = own / "report.html"
    toy_table(500).drop(columns="fold").to_csv(own / "others.csv", index=False)
    options = ["--folder", own / "trained", "--specs", own, "--rows", own / "others.csv", "--replicates", "0"]
    told = run("evaluate", "toy_30d", *options, "--html", page, "--out", own / "later.json")
    assert told.exit_code == 0, told.output
    assert "On others.csv" in page.read_text()
    assert json.loads((own / "later.json").read_text())["rows"] == "others.csv"


def test_people_whom_the_model_was_trained_on_are_refused_as_others(own: Path) -> None:
    options = ["--folder", own / "trained", "--specs", own, "--data", own, "--replicates", "0"]
    told = run("evaluate", "toy_30d", *options, "--rows", own / "toy_30d.csv")
    assert (told.exit_code, "is the table that the model was trained on" in told.output) == (2, True)
    half = toy_table().sample(frac=0.5, random_state=1)
    half.assign(patient=[f"other-{number}" for number in range(len(half))]).to_csv(own / "half.csv", index=False)
    told = run("evaluate", "toy_30d", *options, "--rows", own / "half.csv")
    assert (told.exit_code, "repeat rows of toy_30d.csv" in " ".join(told.output.split())) == (2, True), told.exception


def test_figures_of_another_model_than_the_one_in_the_folder_are_not_written(own: Path) -> None:
    toy_table(700).to_csv(own / "toy_30d.csv", index=False)
    options = ["--folder", own / "trained", "--specs", own, "--data", own, "--replicates", "0"]
    told = run("evaluate", "toy_30d", *options, "--out", own / "later.json")
    assert told.exit_code == 2
    assert "give another file than" in told.output
    assert not (own / "later.json").exists()


def test_families_are_compared_on_the_same_folds_and_the_simplest_of_the_best_wins(own: Path) -> None:
    options = ["--folder", own / "trained", "--specs", own, "--data", own, "--replicates", "0"]
    told = run("evaluate", "toy_30d", *options, "--families", "--out", own / "comparison.json")
    comparison = json.loads((own / "comparison.json").read_text())
    assert told.exit_code == int(comparison["champion"] != comparison["declared"]), told.output
    assert f"The champion is {comparison['champion']}; declared is {comparison['declared']}." in told.stdout


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[str]:
    """The address of MLflow's own server; the test is skipped where MLflow is not installed."""
    program = shutil.which("mlflow")
    if program is None:
        pytest.skip("MLflow is not installed: install requirements/mlops.txt into an environment on the PATH")
    port = free_port()
    store = [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/mlflow.db",
        "--artifacts-destination",
        str(tmp_path / "files"),
    ]
    command = [program, "server", "--workers", "1", "--port", str(port), *store]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with suppress(httpx.HTTPError):
                if httpx.get(f"{address}/health", timeout=1).is_success:
                    break
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


@pytest.mark.slow
def test_an_evaluation_is_a_run_of_an_mlflow_server_with_figures_plot_gates_and_card(
    own: Path, mlflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow)
    options = ["--folder", own / "trained", "--specs", own, "--data", own]
    run("gates", "toy_30d", *options, "--only", "G14", "--record")
    toy_table(500).drop(columns="fold").to_csv(own / "others.csv", index=False)
    expected = read_manifest(own / "trained" / "toy_30d")
    for more in ([], ["--rows", own / "others.csv"]):
        told = run("evaluate", "toy_30d", *options, "--replicates", "20", *more)
        assert told.exit_code == 0, told.output
        assert "Logged to MLflow: run " in told.output
    api = f"{mlflow}/api/2.0/mlflow"
    experiments = httpx.get(f"{api}/experiments/get-by-name", params={"experiment_name": "cds-hooks"}).json()
    wanted = {"experiment_ids": [experiments["experiment"]["experiment_id"]]}
    found = httpx.post(f"{api}/runs/search", json=wanted, timeout=60).json()["runs"]
    assert [logged["info"]["status"] for logged in found] == ["FINISHED"] * 2
    others, out_of_fold = found
    metrics = {metric["key"]: metric["value"] for metric in out_of_fold["data"]["metrics"]}
    assert metrics["auroc"] == expected.evaluation["all"]["auroc"]["value"]
    assert metrics["auroc_low"] < metrics["auroc"] < metrics["auroc_high"]
    assert {"observed_expected", "calibration_slope"} <= metrics.keys()
    tags = {tag["key"]: tag["value"] for tag in out_of_fold["data"]["tags"]}
    assert (tags["model"], tags["version"]) == ("toy_30d", expected.version)
    assert tags["gates"].startswith("not green: G1, G2")
    assert "On others.csv" in {tag["key"]: tag["value"] for tag in others["data"]["tags"]}["how"]
    for logged in found:
        where = f"{mlflow}/api/2.0/mlflow-artifacts/artifacts{urlsplit(logged['info']['artifact_uri']).path}"
        files = {
            name: httpx.get(f"{where}/{name}").raise_for_status().content
            for name in ("report.html", "calibration.svg", "evaluation.json", "card.json", "gates.json")
        }
        assert files["card.json"] == (own / "trained" / "toy_30d" / "card.json").read_bytes()
        drawing = ElementTree.fromstring(files["calibration.svg"])  # noqa: S314 - our own
        assert drawing.findall("{http://www.w3.org/2000/svg}circle")


def test_a_run_has_the_figures_of_each_group_with_enough_events_by_names_that_mlflow_takes() -> None:
    evaluation = read_manifest(ARTIFACTS / "mortality_5y").evaluation
    metrics = run_metrics(evaluation["all"], evaluation["subgroups"])
    assert all(re.fullmatch(r"[\w\-. /]+", name) for name in metrics)
    for group in evaluation["subgroups"]:
        name = re.sub(r"[^\w\-. /]", "_", f"{group['axis']}/{group['group']}/observed_expected")
        assert metrics.get(name) == (group["observed_expected"]["value"] if group["sufficient"] else None)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("file:./mlruns", "an address begins with http:// or https:// and a host; it is the address of an MLflow"),
        ("http://mlflow.example.org", "http is for this machine only, another one is reached by https"),
        ("http://127.0.0.1:1", "the MLflow server 127.0.0.1 cannot be reached (ConnectError): no run"),
    ],
)
def test_a_server_that_gets_no_run_is_named_after_the_figures(own: Path, address: str, sentence: str) -> None:
    options = ["--folder", own / "trained", "--specs", own, "--data", own, "--replicates", "0", "--mlflow", address]
    told = run("evaluate", "toy_30d", *options)
    assert (told.exit_code, sentence in " ".join(told.output.split())) == (2, True), told.output
    assert "AUROC" in told.stdout
