"""Models that were fitted elsewhere become artifacts like those trained here."""

import json
import pickle
from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import lightgbm
import numpy as np
import pytest
import xgboost
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from cds_hooks.cli import app as program
from cds_hooks.tools.kit.simulator.signing import new_key, sign_token
from tests.cds_hooks.calls import client
from tests.each import each_row
from tests.fhir.builders import bundle, observation
from tests.models_onnx.workbench.training.toy import adopted, adults, declare, elsewhere, inputs, toy_table

GATES = ("file", "parity", "speed", "missing-data")


def linear() -> Any:
    """A pipeline that imputes and scales."""
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(*elsewhere())


def exported(fitted: Any) -> bytes:
    """The pipeline as skl2onnx writes it, each input by its name."""
    written = to_onnx(fitted, elsewhere()[0][:1].astype("float32"), options={id(fitted): {"zipmap": False}})
    content: bytes = written.SerializeToString()
    return content


def same(model: Any, probability: Any, whole: bool = False) -> None:
    """The artifact answers as the library does, for the people of the table."""
    X = inputs(adults(toy_table(700)))
    X = X[~X.isna().any(axis=1)] if whole else X
    told = model.predict_rows(X.to_numpy())
    assert np.abs(told.probability - probability(X)).max() < 1e-6
    assert model.manifest.link == "logit"
    odds = np.log(told.probability / (1 - told.probability))
    assert np.abs(odds - model.manifest.base - told.contributions.sum(axis=1)).max() < 1e-5


def test_a_pipeline_that_skl2onnx_wrote_is_adopted_and_judged(tmp_path: Path, run: Callable[..., Any]) -> None:
    fitted = linear()
    (tmp_path / "toy.onnx").write_bytes(exported(fitted))
    declare(tmp_path, more='missing_inputs = "learned"')
    model = adopted(run, tmp_path)
    X = inputs(adults(toy_table(700)))
    told = model.predict_rows(X.to_numpy())
    assert np.abs(told.probability - fitted.predict_proba(X)[:, 1]).max() < 1e-6
    assert "another year" in model.manifest.estimator
    options = ["--folder", tmp_path / "trained", "--specs", tmp_path, "--data", tmp_path, "--json"]
    judged = json.loads(run("gates", "toy_30d", *options).stdout)
    verdicts = {result["gate"]: result["status"] for result in judged["report"]["results"]}
    assert {name: verdicts[name] for name in GATES} == dict.fromkeys(GATES, "passed")


MLMODEL = """flavors:
  {flavor}:
    data: {file}
run_id: 0a1b2c
"""


def test_a_folder_of_mlflow_brings_its_file_its_run_and_its_metrics(tmp_path: Path, run: Callable[..., Any]) -> None:
    of_run = tmp_path / "mlruns" / "1" / "0a1b2c"
    logged = of_run / "artifacts" / "model"
    (of_run / "metrics" / "val").mkdir(parents=True)
    logged.mkdir(parents=True)
    (of_run / "meta.yaml").write_text("run_id: 0a1b2c\n")
    (of_run / "metrics" / "val" / "auc").write_text("1730000000000 0.71 0\n1730000000001 0.78 1\n")
    (logged / "model.onnx").write_bytes(exported(linear()))
    (logged / "MLmodel").write_text(MLMODEL.format(flavor="onnx", file="model.onnx"))
    path = declare(tmp_path, "mlruns/1/0a1b2c/artifacts/model")
    fitted_on = "people of another year (MLflow run 0a1b2c, which measured val/auc 0.78)"
    assert adopted(run, tmp_path).manifest.provenance.fitted_on == fitted_on
    (logged / "MLmodel").write_text(MLMODEL.format(flavor="sklearn", file="model.pkl"))
    told = run("import", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert (told.exit_code, "which is never read. Log it as ONNX" in told.output) == (2, True)


async def test_a_draft_with_words_to_write_is_not_signed_and_shows_its_card_as_a_preview(
    tmp_path: Path, run: Callable[..., Any], as_of: datetime
) -> None:
    (tmp_path / "toy.onnx").write_bytes(exported(linear()))
    path, own = declare(tmp_path, **{'"2020"': '"TODO: which years"'}), tmp_path / "trained"
    told = run("import", path, "--data", tmp_path, "--out", own, "--replicates", 0)
    assert (told.exit_code, "these are still to be written: period" in told.output) == (1, True), told.output
    (own / "toy.service.toml").write_text(SERVICE)
    async with client(tmp_path, as_of=as_of, models_folder=own) as calls:
        assert "A draft that nobody signed" in (await calls.get("/models/toy_30d")).text
        (card,) = (await calls.post("/cds-services/toy", json=call())).json()["cards"]
    assert card["summary"].startswith("PREVIEW, not for care")
    assert "Creatinine" in card["detail"]
    trust: dict[str, Any] = {"trust_file": tmp_path / "trust.toml", "public_url": "http://test"}
    key = new_key("https://ehr.example.org")
    (tmp_path / "jwks.json").write_text(json.dumps(key.key_set()))
    (tmp_path / "trust.toml").write_text(TRUST)
    async with client(tmp_path, as_of=as_of, models_folder=own, **trust) as calls:
        headers = {"authorization": f"Bearer {sign_token(key, 'http://test/cds-services/toy')}"}
        trusted = await calls.post("/cds-services/toy", json=call(), headers=headers)
    assert (trusted.json()["cards"], "a draft that nobody signed" in trusted.text) == ([], True)


SERVICE = """
id = "toy"
hook = "patient-view"
model = "toy_30d"
title = "The event"
description = "Shows the estimate."
usage_requirements = "For professionals."
summary = "Event: {estimate} (higher than {higher} in 100). Consider a review."
closing = "For planning, not for emergencies."

[[orders]]
label = "Order a review"
text = "Review of the estimate"
"""
TRUST = """
version = 1
[[client]]
name = "Example"
issuers = ["https://ehr.example.org"]
jwks_file = "jwks.json"
"""


def call() -> dict[str, Any]:
    """A call about somebody old whose creatinine is high."""
    patient = {"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1942-01-01"}
    prefetch = {name: bundle() for name in ("conditions", "encounters", "procedures", "tests")}
    prefetch |= {"patient": patient, "labs": bundle(observation("2160-0", 2.9, "mg/dL", "2026-11-10", patient="p"))}
    return {
        "hook": "patient-view",
        "hookInstance": "8f7f4a4e-6f0c-4b62-9a6f-0c3ec2a4c7d1",
        "context": {"userId": "Practitioner/1", "patientId": "p"},
        "prefetch": prefetch,
    }


@pytest.mark.slow
@pytest.mark.parametrize("family", ["lightgbm", "xgboost"])
def test_trees_of_other_libraries_are_adopted_by_their_own_file(
    family: str, tmp_path: Path, run: Callable[..., Any]
) -> None:
    X, y = elsewhere()
    if family == "lightgbm":
        fitted: Any = lightgbm.LGBMClassifier(n_estimators=20, max_depth=3, verbose=-1).fit(X, y)
        source = "model.txt"
        fitted.booster_.save_model(tmp_path / source)
    else:
        fitted = xgboost.XGBClassifier(n_estimators=20, max_depth=3).fit(X, y)
        source = "model.json"
        fitted.save_model(tmp_path / source)
    declare(tmp_path, source)
    model = adopted(run, tmp_path)
    same(model, lambda X: fitted.predict_proba(X)[:, 1])


def test_a_pickle_is_never_read_and_the_sentence_says_what_to_do(tmp_path: Path, run: Callable[..., Any]) -> None:
    path = declare(tmp_path, "toy.pkl")
    (tmp_path / "toy.pkl").write_bytes(pickle.dumps(Bomb(str(tmp_path / "went-off"))))
    told = run("import", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert told.exit_code == 2
    assert "or as an ONNX file (skl2onnx.to_onnx)" in told.output
    assert not (tmp_path / "went-off").exists()


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def _zipped(name: str, content: str) -> bytes:
    packed = BytesIO()
    with ZipFile(packed, "w") as file:
        file.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize("name", ["toy.joblib", "toy.txt", "toy.json", "toy.ubj"])
@pytest.mark.parametrize(
    "content",
    [b"", b"junk", b"PK\5\6" + bytes(18), b"PK\3\4" + bytes(99), b"[" * 100_000, b"tree\nversion=v4\n"]
    + [_zipped("schema.json", text) for text in ("[", "{}", "[" * 100_000, '{"__loader__": "x", "protocol": 9}')],
)
def test_a_file_that_holds_no_model_is_a_sentence(
    name: str, content: bytes, tmp_path: Path, run: Callable[..., Any]
) -> None:
    path = declare(tmp_path, name)
    (tmp_path / name).write_bytes(content)
    told = run("import", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert (told.exit_code, type(told.exception)) == (2, SystemExit), told.exception
    assert told.output.strip()


@each_row(("old", "new", "said"))
def test_a_wrong_declaration_is_a_sentence(
    old: str, new: str, said: str, tmp_path: Path, run: Callable[..., Any]
) -> None:
    (tmp_path / "toy.onnx").write_bytes(exported(linear()))
    path = declare(tmp_path, **{old: new})
    told = run("import", path, "--data", tmp_path, "--out", tmp_path / "trained", "--replicates", 0)
    assert told.exit_code == 2, told.output
    assert said in told.output


def test_a_column_in_another_unit_is_refused_with_what_to_do(tmp_path: Path, run: Callable[..., Any]) -> None:
    (tmp_path / "toy.onnx").write_bytes(exported(linear()))
    path, table = declare(tmp_path), toy_table(700)
    table.assign(creatinine_mg_dl=88.42 * table["creatinine_mg_dl"]).to_csv(tmp_path / "toy_30d.csv", index=False)
    told = run("import", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert told.exit_code == 2
    assert "Convert the column to mg/dL, or declare the factor of the input" in told.output
    checked = CliRunner().invoke(program, ["data", str(tmp_path / "toy_30d.csv"), "--specs", str(tmp_path), "--json"])
    assert checked.exit_code == 1
    assert '"not-trainable"' in checked.output


def test_a_mean_of_probabilities_is_recalibrated_by_no_line(tmp_path: Path, run: Callable[..., Any]) -> None:
    forest = make_pipeline(SimpleImputer(), RandomForestClassifier(3, max_depth=2, random_state=0)).fit(*elsewhere())
    (tmp_path / "toy.onnx").write_bytes(exported(forest))
    years = 'recalibration = { column = "age_years", since = 0, until = 200, words = "all" }'
    told = run("import", declare(tmp_path, more=years), "--data", tmp_path, "--out", tmp_path / "trained")
    assert (told.exit_code, "leave `recalibration` out of the declaration" in told.output) == (2, True), told.output
