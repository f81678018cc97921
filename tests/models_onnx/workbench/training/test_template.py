"""A stranger adds a model: the written files, a table, and the commands of the guide."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cds_hooks.cli import app as cli
from cds_hooks.commands.model.main import app
from tests.models_onnx.workbench.training.template import write_template


def toy_table(people: int = 900) -> pd.DataFrame:
    """People of whom the older and those with high creatinine have the event more often."""
    draw = np.random.default_rng(11)
    age, creatinine = draw.integers(16, 90, people), draw.uniform(0.5, 3.0, people).round(2)
    margin = -2.5 + 0.06 * (age - 60) + 1.2 * (creatinine - 1.5)
    return pd.DataFrame(
        {
            "patient": [f"p{number}" for number in range(people)],
            "age_years": age,
            "sex": draw.choice(["female", "male"], people),
            "creatinine_mg_dl": np.where(draw.random(people) < 0.1, np.nan, creatinine),
            "albumin_g_dl": draw.normal(4.1, 0.4, people).round(1),
            "event": (draw.random(people) < 1 / (1 + np.exp(-margin))).astype(int),
            "fold": draw.integers(0, 5, people),
        }
    )


def complete(card: Path) -> None:
    """The words of the card, as whoever adds a model writes them."""
    words = json.loads(card.read_text())
    words["attributes"] = dict.fromkeys(words["attributes"], "An invented cohort for a test.")
    words["product"] |= {"indications": ["an invented event"], "keywords": ["test"], "bibliography": "None."}
    words["product"]["label"] |= {"words": "the event", "stands_for": "need"}
    words["product"]["label"]["audit"]["words"] = "events"
    words["product"]["irm"] = {"reviewed": "2026-11-20", "by": "whoever wrote the test"}
    card.write_text(json.dumps(words))


def test_a_model_of_ones_own_is_written_trained_and_scored_by_the_guide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDS_MODEL_SIGNING_KEY", str(tmp_path / "key.pem"))
    run = CliRunner()
    write_template("toy_30d", tmp_path / "mine")
    complete(tmp_path / "mine" / "toy_30d.card.json")
    toy_table().to_csv("toy_30d.csv", index=False)
    options = ["--specs", "mine", "--data", ".", "--out", "trained", "--replicates", "0"]
    told = run.invoke(app, ["train", "toy_30d", *options])
    assert told.exit_code == 0, told.output
    assert (tmp_path / "trained" / "toy_30d" / "release.json").is_file()
    again = run.invoke(app, ["train", "toy_30d", *options[:6], "--check", "--json"])
    assert json.loads(again.stdout)["same_hash"]
    rows = str(tmp_path / "mine" / "toy_30d.cases.csv")
    told = run.invoke(cli, ["score", "toy_30d", rows, "--out", "s.csv", "--id", "patient", "--folder", "trained"])
    assert told.exit_code == 0, told.output
    scores = pd.read_csv("s.csv", dtype=str, keep_default_na=False)
    expected = pd.read_csv(rows, dtype=str, keep_default_na=False)["expect"]
    found = ["score" if p else r for p, r in zip(scores.probability, scores.reason, strict=True)]
    assert found == expected.tolist()
