"""A toy model that somebody trained elsewhere, its declaration, and the commands that adopt it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cds_hooks.call.trusted_models import own_keys
from cds_hooks.settings import Settings
from models_onnx.model_card.schema import DECLARED
from models_onnx.serving.registry import load_model


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
    words["product"]["data_last_year"] = 2020
    words["product"]["label"] |= {"words": "the event", "stands_for": "need"}
    words["product"]["label"]["audit"]["words"] = "events"
    words["product"]["irm"] = {
        "reviewed": "2026-11-20",
        "by": "whoever wrote the test",
        **dict.fromkeys(DECLARED, True),
    }
    card.write_text(json.dumps(words))


NAMES = ["age_years", "sex_male", "creatinine_mg_dl", "albumin_g_dl"]


def inputs(table: pd.DataFrame) -> pd.DataFrame:
    """The inputs of the table, as float32 holds them."""
    made = table.assign(sex_male=table["sex"].map({"male": 1.0, "female": 0.0}))[NAMES]
    return made.astype(np.float32).astype(float)


def adults(table: pd.DataFrame) -> pd.DataFrame:
    """Those who are eighteen or older."""
    return table[table["age_years"] >= 18]


def declare(folder: Path, source: str = "toy.onnx", more: str = "", **changed: str) -> Path:
    """A declaration of this file with `more` members, and a table of other people than those below."""
    (folder / "toy_30d.card.json").write_text(CARD)
    complete(folder / "toy_30d.card.json")
    text = DECLARATION.format(source=source, more=more)
    for old, new in changed.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "toy_30d.model.toml"
    path.write_text(text)
    toy_table(700).drop(columns="fold").to_csv(folder / "toy_30d.csv", index=False)
    return path


CARD = """{
 "attributes": {
  "details.developer": "",
  "details.funding": "",
  "development.relevance": "",
  "fairness.approach": "",
  "fairness.mitigation": ""
 },
 "product": {
  "acting_window_hours": 720,
  "setting": "outpatient",
  "data_last_year": 2000,
  "label": {
   "kind": "outcome",
   "words": "",
   "stands_for": "",
   "audit": {"need": "event", "words": "", "axis": "sex"}
  },
  "fairness_axes": {"sex": "all"},
  "auroc_floor": 0.6,
  "stress_move_at_most": 0.2,
  "irm": {"reviewed": "TODO", "by": "TODO", "for_professionals": true, "informs": true, "wording": true},
  "waivers": [],
  "keywords": [],
  "bibliography": ""
 }
}
"""
DECLARATION = """
source = "{source}"
trained_on = "people of another year"
version = "0.1.0"
title = "Event within 30 days, adults"
table = "toy_30d.csv"
patient = "patient"
period = "2020"
population = "adults"
age_low = 18
intended_use = "Gives clinicians information to consider. Used in patient-view."
users = "physicians and nurses"
not_for = ["emergencies"]
cautions = ["The people are invented."]
outcome = {{ column = "event", words = "had the event within 30 days", horizon_days = 30 }}
{more}
[subgroups]
sex = {{ column = "sex" }}
[[input]]
feature = "age_years"
required = true
[[input]]
feature = "sex_male"
column = "sex"
values = {{ female = 0, male = 1 }}
required = true
[[input]]
feature = "creatinine_mg_dl"
[[input]]
feature = "albumin_g_dl"
"""


def elsewhere() -> tuple[pd.DataFrame, Any]:
    """The people whom a model was trained on elsewhere."""
    table = adults(toy_table(3000)).iloc[700:]
    return inputs(table), table["event"].to_numpy()


def adopted(run: Callable[..., Any], folder: Path) -> Any:
    """The model as it was adopted, from the folder of artifacts."""
    out = folder / "trained"
    told = run("import", folder / "toy_30d.model.toml", "--data", folder, "--out", out, "--replicates", 0)
    assert told.exit_code == 0, told.output
    return load_model("toy_30d", out, own_keys(Settings()))
