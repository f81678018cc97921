"""`cds-hooks model evaluate`: the report as a page and the figures that the pages of a model show later."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cds_hooks.commands.model.main import app
from models_onnx.model_card.evaluation_file import FILE
from models_onnx.serving.registry import load_model
from models_onnx.workbench.release.documentation import model_page
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
