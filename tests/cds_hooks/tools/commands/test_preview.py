"""`cds-hooks model preview`: from a model file and a table to a card, before the gates; what does not fit, at once."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from cds_hooks.tools.commands.model.main import app
from cds_hooks.tools.kit.simulator.signing import new_key, sign_token
from models_onnx.artifact.release_file import GateSummary
from models_onnx.errors import CompileRefused
from models_onnx.workbench.release.card import card_words
from models_onnx.workbench.release.publishing import record_gates, sign_with_card
from models_onnx.workbench.training.drafting import Asked, draft, draft_words
from models_onnx.workbench.training.sources import ModelSource, read_source
from tests.cds_hooks.calls import client
from tests.fhir.builders import bundle, observation
from tests.models_onnx.workshop import SIGNER

NUMBERS = ["Age", "Creatinine", "Potassium"]


def people(count: int = 1500) -> Any:
    """Invented people, as a hospital might have them in a table."""
    import pandas as pd  # imported where it is used, as scikit-learn below: each process collects all files

    draw = np.random.default_rng(5)
    table = pd.DataFrame({"MRN": [f"H{number}" for number in range(count)], "Age": draw.integers(16, 90, count)})
    table["Gender"] = draw.choice(["F", "M"], count)
    table["Creatinine"] = np.where(draw.random(count) < 0.1, np.nan, draw.lognormal(0.05, 0.35, count).round(2))
    table["Potassium"] = draw.normal(4.2, 0.4, count).round(1)
    margin = 0.05 * (table["Age"] - 60) + table["Creatinine"].fillna(1) - 1.5
    return table.assign(came_back=(draw.random(count) < 1 / (1 + np.exp(-margin))).astype(int))


def pipeline(is_network: bool = False) -> Any:
    """A usual pipeline, whose sex is a text."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    last = MLPClassifier((4,), alpha=1.0, max_iter=500, random_state=0) if is_network else LogisticRegression()
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    prepared = ColumnTransformer([("n", numbers, NUMBERS), ("c", OneHotEncoder(), ["Gender"])])
    return make_pipeline(prepared, last)


def exported(folder: Path, is_network: bool = False) -> tuple[Path, Path]:
    """The model file of one half of the people, and the table of the other."""
    from skl2onnx import to_onnx

    table = people()
    mine, others = table[:700], table[700:]
    rows = mine[[*NUMBERS, "Gender"]].astype(dict.fromkeys(NUMBERS, np.float32))
    fitted = pipeline(is_network).fit(rows, mine["came_back"])
    (folder / "stays.onnx").write_bytes(to_onnx(fitted, rows[:1], target_opset=18).SerializeToString())
    others.to_csv(folder / "stays.csv", index=False)
    return folder / "stays.onnx", folder / "stays.csv"


def run(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.mark.slow  # The gates train the model again.
@pytest.mark.parametrize("is_network", [False, True])
async def test_a_file_and_a_table_become_a_card_beside_its_red_gates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_network: bool, as_of: datetime
) -> None:
    monkeypatch.chdir(tmp_path)
    model, table = exported(tmp_path, is_network)
    told = run(
        "preview", model, table, "--days", 30, "--words", "came back within 30 days", "--folder", tmp_path / "own"
    )
    assert told.exit_code == 0, told.output
    assert "PREVIEW, not for care" in told.stdout
    assert "complete NAME.card.json" in " ".join(told.stdout.split())
    report = json.loads((tmp_path / "own" / "stays" / "gates.json").read_bytes())
    states = {result["gate"]: result["status"] for result in report["results"]}
    assert [states[gate] for gate in ("parity", "speed", "explanation", "discrimination")] == ["passed"] * 4, report
    async with client(tmp_path, as_of=as_of, models_folder=tmp_path / "own") as calls:
        assert "gates are not green" in (await calls.get("/models")).text
        page = (await calls.get("/models/stays")).text
        assert "came back within 30 days" in page
        assert "What clears it" in page
        answer = (await calls.post("/cds-services/stays-estimate", json=call())).json()
    (card,) = answer["cards"]
    assert card["summary"].startswith("PREVIEW, not for care")
    assert "Creatinine" in card["detail"]
    key = new_key("https://ehr.example.org")
    (tmp_path / "jwks.json").write_text(json.dumps(key.key_set()))
    (tmp_path / "trust.toml").write_text(TRUST)
    behind: dict[str, Any] = {"trust_file": tmp_path / "trust.toml", "public_url": "http://test"}
    async with client(tmp_path, as_of=as_of, models_folder=tmp_path / "own", **behind) as calls:
        headers = {"authorization": f"Bearer {sign_token(key, 'http://test/cds-services/stays-estimate')}"}
        trusted = await calls.post("/cds-services/stays-estimate", json=call(), headers=headers)
    assert (trusted.status_code, trusted.json()["cards"]) == (200, [])
    assert "a draft that nobody signed" in trusted.text


TRUST = """
version = 1
[[client]]
name = "Example"
issuers = ["https://ehr.example.org"]
jwks_file = "jwks.json"
"""


@pytest.mark.slow  # Two previews, with the gates of one.
def test_a_preview_beside_a_released_version_leaves_that_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model, table = exported(tmp_path)
    words = ("preview", model, table, "--days", 30, "--folder", tmp_path / "own")
    assert run(*words, "--no-gates").exit_code == 0
    released, declaration = tmp_path / "own" / "stays", tmp_path / "own" / "stays.model.toml"
    sign_with_card(released, SIGNER, card_words("stays", tmp_path / "own"))
    record_gates(released, b"{}", GateSummary(green=("file",), red=()), "2026-11-20T00:00:00Z", SIGNER)
    before = {path.name: path.read_bytes() for path in released.iterdir()}
    same = run(*words)
    assert (same.exit_code, "a released version never changes" in same.output) == (2, True), same.output
    declaration.write_text(declaration.read_text().replace('"0.1.0"', '"0.2.0"'))
    beside = run(*words)
    assert (beside.exit_code, "/models/stays@0.2.0" in beside.output) == (0, True), beside.output
    assert {path.name: path.read_bytes() for path in released.iterdir()} == before
    assert "file" in (tmp_path / "own" / "stays@0.2.0" / "gates.json").read_text()


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_draft_with_something_to_do_is_not_imported(tmp_path: Path, quote: str) -> None:
    model, table = exported(tmp_path)
    asked = Asked(30.0, features={"Potassium": "albumin_g_dl"})
    made = draft("stays", read_source(model), "stays.onnx", table, people()[700:], asked)
    (tmp_path / "stays.card.json").write_text(json.dumps(draft_words(made)))
    (tmp_path / "stays.model.toml").write_text(
        re.sub('"(TODO[^"]*)"', rf"{quote}\1{quote}", made.declaration.replace('"Stays: ', '"Stays, TODO: '))
    )
    told = run("import", tmp_path / "stays.model.toml", "--data", tmp_path, "--folder", tmp_path / "own")
    assert told.exit_code == 2
    for member in ("title", "trained_on", "period", "intended_use", "users", "cautions"):
        assert member in told.output
    assert not (tmp_path / "own").exists()


def call() -> dict[str, Any]:
    """A call about somebody old whose creatinine is high."""
    patient = {"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1942-01-01"}
    prefetch = {name: bundle() for name in ("conditions", "encounters", "procedures", "tests")}
    prefetch |= {"patient": patient, "labs": bundle(observation("2160-0", 2.1, "mg/dL", "2026-11-10", patient="p"))}
    return {
        "hook": "patient-view",
        "hookInstance": "8f7f4a4e-6f0c-4b62-9a6f-0c3ec2a4c7d1",
        "context": {"userId": "Practitioner/1", "patientId": "p"},
        "prefetch": prefetch,
    }


SOURCE = ModelSource(Path("stays.onnx"), (*NUMBERS, "Gender"), frozenset({"Gender"}), 4)


@pytest.mark.parametrize(
    ("changed", "asked", "said"),
    [
        ({"died": lambda table: table["came_back"]}, {}, "which column is the outcome? There of 0 and 1 are came_back"),
        ({"Creatinine": lambda table: 88.4 * table["Creatinine"]}, {}, "say which: --unit Creatinine=umol/L"),
        ({"Creatinine": lambda table: table["Age"] * 1e6}, {}, "no unit of the tables fits: convert file and table"),
        ({"Gender": lambda table: table["Gender"].map({"F": "a", "M": "b"})}, {}, "write the number of each in values"),
        ({}, {"columns": {"Age": "Years"}}, "the table has no column Years"),
        ({}, {"features": {"Age": "age_yers"}}, "there is no such feature; near to it are age_years"),
        ({}, {"features": {"Potassium": "creatinine_mg_dl"}}, "Creatinine, Potassium are one feature"),
        ({}, {"outcome": "Age"}, "the outcome Age has values beside 0 and 1"),
        ({}, {"units": {"Creatinine": "stone"}}, "creatinine_mg_dl has no such unit; it is in mg/dL"),
    ],
)
def test_everything_that_does_not_fit_is_said_at_once(
    changed: dict[str, Any], asked: dict[str, Any], said: str
) -> None:
    source = ModelSource(SOURCE.path, (*SOURCE.inputs, "Zeal"), SOURCE.texts, 5)
    rows = people(200).assign(**changed)
    made = draft("stays", source, "stays.onnx", Path("stays.csv"), rows, Asked(30.0, **asked))
    assert any(said in problem for problem in made.problems), made.problems
    assert any("Zeal: no feature has this name" in problem for problem in made.problems)
    assert any("Zeal: the table has no column Zeal" in problem for problem in made.problems)


def test_what_fits_is_declared_with_units_texts_axes_and_a_new_feature() -> None:
    rows = people(200).assign(Creatinine=lambda table: 88.4 * table["Creatinine"])
    rows, named = rows.assign(Chloride=100 + rows.pop("Potassium")), ("Age", "Creatinine", "Chloride", "Gender")
    source = ModelSource(SOURCE.path, named, SOURCE.texts, 4)
    made = draft("stays", source, "stays.onnx", Path("t.csv"), rows, Asked(30.0, units={"Creatinine": "umol/L"}))
    assert made.problems == []
    for line in ('values = { "F" = 0, "M" = 1 }', "is_text = true", "factor = 0.0113", '"age band" = { column = "Age"'):
        assert line in made.declaration
    assert 'analyte = "chloride"' in made.features


MLMODEL = """artifact_path: model
flavors:
  {flavor}:
    data: {file}
run_id: 0a1b2c
signature:
  inputs: '[{{"type": "double", "name": "Age"}}, {{"type": "double", "name": "Creatinine"}},
    {{"type": "double", "name": "Potassium"}}, {{"type": "string", "name": "Gender"}}]'
"""


def test_a_folder_of_mlflow_brings_its_names_its_run_and_its_metrics(tmp_path: Path) -> None:
    logged = tmp_path / "mlruns" / "1" / "0a1b2c" / "artifacts" / "model"
    logged.mkdir(parents=True)
    run = tmp_path / "mlruns" / "1" / "0a1b2c"
    (run / "metrics" / "val").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: 0a1b2c\n")
    (run / "metrics" / "val" / "auc").write_text("1730000000000 0.71 0\n1730000000001 0.78 1\n")
    model, _ = exported(tmp_path)
    (logged / "model.onnx").write_bytes(model.read_bytes())
    (logged / "MLmodel").write_text(MLMODEL.format(flavor="onnx", file="model.onnx"))
    source = read_source(logged)
    assert (source.inputs, source.run_id, source.metrics) == ((*NUMBERS, "Gender"), "0a1b2c", {"val/auc": 0.78})
    made = draft("stays", source, "stays.onnx", Path("t.csv"), people(200), Asked(30.0))
    assert 'origin = { run_id = "0a1b2c", metrics = { "val/auc" = 0.78 } }' in made.declaration
    (logged / "MLmodel").write_text(MLMODEL.format(flavor="sklearn", file="model.pkl"))
    with pytest.raises(CompileRefused, match=r"a pickle or code, which is never read\. Log it as ONNX: mlflow\.onnx"):
        read_source(logged)
