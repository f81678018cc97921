"""An ONNX file that nobody compiled reaches a card: adopted by its groups, judged by the gates, told in words."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import orjson
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from cards.card import TOPICS, CardIdentity, CardText
from cards.compose.model import model_card
from fhir.mapping.features.catalog import FEATURES, features_named
from fhir.mapping.features.declared import add_declared_features
from fhir.mapping.features.feature import FeatureValue, FeatureVector, map_features
from fhir.record.record import read_record
from fhir.record.resources import decoder
from models_onnx.artifact.folder import Artifact
from models_onnx.serving.runtime import Model
from models_onnx.spec import (
    AdditiveLogistic,
    Fitted,
    Floors,
    FollowUp,
    InputSpec,
    ModelSpec,
    OutcomeSpec,
    PopulationSpec,
)
from models_onnx.workbench.training.commands import no_progress
from models_onnx.workbench.training.data.cohort import Table
from models_onnx.workbench.training.pipeline import train
from tests.fhir.builders import observation
from tests.models_onnx.workbench.networks import HIDDEN, gru, mlp
from tests.models_onnx.workbench.training.toy import NAMES, adopted, adults, declare, elsewhere, inputs, toy_table

pytestmark = pytest.mark.slow  # They adopt and judge whole models.

GROUPS = "groups={'person': ('age_years', 'sex_male'), 'laboratory': ('creatinine_mg_dl', 'albumin_g_dl')}"


@pytest.fixture(scope="module")
def network() -> tuple[bytes, Callable[[pd.DataFrame], Any]]:
    """A perceptron that was fitted elsewhere, as a library of networks exports it, and what it says of rows."""
    X, y = elsewhere()
    centre, spread = X.mean().to_numpy(), X.std().to_numpy()
    fitted = MLPClassifier((8, 4), max_iter=400, random_state=0).fit((X.fillna(X.mean()) - centre) / spread, y)
    weights, biases = [*fitted.coefs_], [*fitted.intercepts_]
    biases[0] = biases[0] - (centre / spread) @ weights[0]
    weights[0] = weights[0] / spread[:, None]

    def probability(rows: pd.DataFrame) -> Any:
        return fitted.predict_proba((rows - centre) / spread)[:, 1]

    return mlp(weights, biases), probability


def table() -> pd.DataFrame:
    """The inputs of the people of the declaration's table."""
    return inputs(adults(toy_table(700)))


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_a_perceptron_of_a_file_is_adopted_judged_and_explained_by_groups(
    tmp_path: Path, run: Callable[..., Any], network: tuple[bytes, Callable[[pd.DataFrame], Any]]
) -> None:
    content, probability = network
    (tmp_path / "net.onnx").write_bytes(content)
    declare(tmp_path, f"Fitted('net.onnx', trained_on='people of another year', {GROUPS})")
    model = adopted(run, tmp_path)
    told = model.predict_rows(table().to_numpy())
    filled = table().fillna({item.name: item.reference_value for item in model.manifest.features})
    assert np.abs(told.probability - probability(filled)).max() < 1e-5
    assert model.manifest.missing_kind == "imputed"
    assert [group.name for group in model.groups] == ["person", "laboratory"]
    assert (told.contributions != 0).sum(axis=1).max() == 2
    assert any(caution.startswith("Groups of inputs are explained") for caution in model.manifest.cautions)
    judged = json.loads(
        run(
            "gates", "toy_30d", "--folder", tmp_path / "trained", "--specs", tmp_path, "--data", tmp_path, "--json"
        ).stdout
    )
    verdicts = {each["gate"]: (each["status"], each) for each in judged["report"]["results"]}
    for gate in ("file", "parity", "speed", "explanation"):
        assert verdicts[gate][0] == "passed", verdicts[gate]
    words = card_words(model)
    assert "laboratory, 2 inputs together, among them Albumin **4.4" in words
    assert "Groups of inputs are explained here, each by what it contributes as a whole." in words


def card_words(model: Model) -> str:
    """The detail of a card about a person of 81 years with four inputs."""
    values = np.array([81.0, 1.0, 2.6, 4.4])
    features = tuple(FEATURES[name] for name in NAMES)
    evidence = [
        FeatureValue(feature, value, "2026-11-10", f"Observation/{feature.name}", "", value, feature.unit)
        for feature, value in zip(features, values.tolist(), strict=True)
    ]
    prediction = model.predict(values)
    vector = FeatureVector(features, values, [*evidence], [])
    identity = CardIdentity("card", lambda number: f"suggestion-{number}", "http://why", "http://how")
    planned = CardText(summary="A risk", topic=TOPICS["planning"])
    return model_card(model.manifest, prediction, vector, planned, identity).detail or ""


LABS = {"bili": ("bilirubin_total", "1975-2", "mg/dL"), "albumin": ("albumin", "1751-7", "g/dL")}
STEPS, LANDMARK, YEARS = 3, 365, 8.0
ENTRY = '[[feature]]\nname = "{name}"\nwords = "Invented words"\nevidence = "a test"\n{rest}\n'


def declaration() -> str:
    rest = f'analyte = "{{}}"\nsteps = {STEPS}\nstep_hours = 3000'
    return "".join(ENTRY.format(name=f"{name}_at", rest=rest.format(lab[0])) for name, lab in LABS.items())


def chart(visits: pd.DataFrame) -> bytes:
    """All visits of a person as Observations, those after the landmark among them."""
    start = datetime(1980, 1, 1, tzinfo=UTC)
    resources = [
        observation(
            code,
            when=(start + timedelta(days=float(day))).isoformat(),
            patient="p",
            id=f"{column}{day:.0f}",
            valueQuantity={"value": float(value), "code": unit, "system": "http://unitsofmeasure.org"},
        )
        for column, (_, code, unit) in LABS.items()
        for day, value in zip(visits["day"], visits[column], strict=True)
        if not np.isnan(value)
    ]
    entries = [{"resource": resource} for resource in resources]
    return orjson.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries})


@pytest.fixture
def series_table(data_folder: Path, tmp_path: Path, declared_features_are_forgotten: None) -> pd.DataFrame:
    """One row per person who was alive and not transplanted a year after enrolment, as their charts have it."""
    (tmp_path / "features.toml").write_text(declaration())
    names = add_declared_features(tmp_path)
    as_of = datetime(1980, 1, 1, tzinfo=UTC) + timedelta(days=LANDMARK)
    rows: list[dict[str, Any]] = []
    for _, visits in pd.read_csv(data_folder / "series" / "pbcseq.csv").groupby("id"):
        first = visits.iloc[0]
        if first["futime"] <= LANDMARK:
            continue
        record = read_record({"labs": decoder.decode(chart(visits))}, "p", as_of)
        values = map_features(record, features_named(names)).values
        row = {"patient": f"p{len(rows)}", "age_years": float(first["age"] + 1), "death": int(first["status"] == 2)}
        rows.append({**row, "time": first["futime"] - LANDMARK, **dict(zip(names, values, strict=True))})
    fold = np.random.default_rng(0).permutation(np.arange(len(rows)) % 5)
    return pd.DataFrame(rows).assign(fold=fold)


def spec_of(inputs: tuple[str, ...], **changes: Any) -> ModelSpec:
    follow_up = FollowUp(lambda rows: rows["time"], lambda rows: rows["death"], 365.25)
    declared: dict[str, Any] = {
        "inputs": tuple(map(InputSpec, inputs)),
        "outcome": OutcomeSpec(column="death", words="died", horizon_days=365.25 * YEARS, follow_up=follow_up),
        "population": PopulationSpec(words="adults", age_low=18),
        "estimator": AdditiveLogistic(knots=0, C=1.0),
        "simple_inputs": inputs[:1],
        "floors": Floors(auroc=0.5, slope=(0.1, 5.0), observed_expected=(0.1, 5.0)),
        "patient_column": "patient",
        **dict.fromkeys(("title", "intended_use", "users", "period", "cohort_words", "reference_words"), "A test."),
        **dict.fromkeys(("not_for", "cautions", "exclusions", "always_required"), ()),
        "derived": {},
        "subgroups": {},
    }
    ids = {"id": "invented", "version": "1.0.0", "table": "pbc.csv", "decision_role": "informs"}
    return ModelSpec(**{**ids, **declared, "capacity": 0.1, "capacities": (0.1,), **changes})


def test_a_recurrent_network_is_adopted_and_judged_on_people_it_never_saw(
    series_table: pd.DataFrame, tmp_path: Path
) -> None:
    inputs = tuple(f"{name}_at_{step}" for name in LABS for step in range(1, STEPS + 1))
    learned, unseen = series_table[series_table["fold"] < 2], series_table[series_table["fold"] >= 2]
    centre, spread = np.array([3.0, 3.4]), np.array([4.0, 0.5])
    series = learned[list(inputs)].to_numpy().reshape(-1, len(LABS), STEPS).transpose(0, 2, 1)
    feed = {"series": np.nan_to_num(series).astype(np.float32), "mask": (~np.isnan(series)).astype(np.float32)}
    states = onnxruntime.InferenceSession(gru(STEPS, centre, spread)).run(None, feed)[0]
    readout = LogisticRegression(C=1.0, max_iter=1000).fit(states, learned["death"])
    weights = np.append(readout.coef_[0], readout.intercept_)
    (tmp_path / "pbc.onnx").write_bytes(gru(STEPS, centre, spread, weights))
    fitted = Fitted("pbc.onnx", trained_on="two folds of the same study", steps=STEPS, folder=tmp_path)
    spec = spec_of(inputs, estimator=fitted, missing_inputs="learned", always_required=(inputs[STEPS - 1],))
    trained = train(spec, Table("pbc.csv", "0" * 64, unseen), 1, 0, no_progress)
    assert trained.manifest.evaluation["all"]["c_index"]["value"] > 0.72
    assert any("exact over all their coalitions" in caution for caution in trained.manifest.cautions)
    told = Model(Artifact(trained.manifest, trained.content)).predict_rows(unseen[list(inputs)].to_numpy())
    assert (told.contributions != 0).sum(axis=1).max() == len(LABS)
    assert np.abs(told.margin - trained.manifest.base - told.contributions.sum(axis=1)).max() < 1e-9
    assert states.shape[1] == HIDDEN
