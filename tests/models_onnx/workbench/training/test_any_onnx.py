"""An ONNX file that nobody compiled reaches a card: adopted by its groups, judged by the gates, told in words."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.neural_network import MLPClassifier

from cards.card import TOPICS, CardIdentity, CardText
from cards.compose.model import model_card
from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import FeatureValue, FeatureVector
from models_onnx.serving.runtime import Model
from tests.models_onnx.workbench.networks import mlp
from tests.models_onnx.workbench.training.toy import NAMES, adopted, adults, declare, elsewhere, inputs, toy_table

pytestmark = pytest.mark.slow  # They adopt and judge whole models.

GROUPS = """[groups]
person = ["age_years", "sex_male"]
laboratory = ["creatinine_mg_dl", "albumin_g_dl"]
"""


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
    declare(tmp_path, "net.onnx", GROUPS)
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
