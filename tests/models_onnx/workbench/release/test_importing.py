"""A third party's ONNX file comes in with a card and a feature map, or is refused by a sentence; same gates."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import load_from_string
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from models_onnx.artifact.folder import load_artifact
from models_onnx.artifact.release_file import read_release
from models_onnx.errors import CardIncomplete, ImportRefused, ManifestRefused, UnsafeModel
from models_onnx.workbench.gates.run import run_gates
from models_onnx.workbench.gates.subject import read_subject
from models_onnx.workbench.release.importing import import_model, read_json
from models_onnx.workbench.release.listing import list_models
from tests.models_onnx.workshop import KEYS, SIGNER, evidence, good_card

Document = dict[str, Any]


@pytest.fixture(scope="session")
def theirs() -> bytes:
    """A logistic regression as scikit-learn's users convert it."""
    draw = np.random.default_rng(3)
    X = draw.normal([60.0, 1.0], [10.0, 0.3], (400, 2)).astype(np.float32)
    y = (draw.random(400) < 1 / (1 + np.exp(-(X[:, 0] - 60) / 10))).astype(int)
    fitted = LogisticRegression().fit(X, y)
    content: bytes = to_onnx(fitted, X[:1], options={"zipmap": False}, target_opset=18).SerializeToString()
    return content


def feature_map() -> Document:
    """What its makers say of its inputs."""
    return {
        "id": "their_model",
        "version": "3.1.0",
        "title": "Kidney failure within 2 years",
        "outcome": {"column": "event", "words": "had kidney failure within 2 years", "horizon_years": 2.0},
        "population": {"words": "adults with CKD", "age_low": 18, "exclude_conditions": []},
        "features": [
            {"name": "age_years", "words": "Age", "unit": "a", "fhir": "Patient.birthDate", "low": 18, "high": 100,
             "reference": 60},
            {"name": "creatinine_mg_dl", "words": "Creatinine", "unit": "mg/dL", "loinc": ["2160-0"],
             "fhir": "Observation.value", "low": 0.2, "high": 9.5, "reference": 1.0},
        ],
        "tensors": {"input": "X", "probability": "probabilities", "column": 1},
    }  # fmt: skip


def their_card() -> Document:
    """A whole card of theirs."""
    card = good_card()
    card["model"] = {"id": "their_model", "version": "3.1.0", "title": "Kidney failure within 2 years"}
    return card


def take_in(folder: Path, content: bytes, card: Document | None = None, features: Document | None = None) -> Path:
    """Imports the file; where it was put."""
    folder.mkdir(exist_ok=True)
    path = folder / "theirs.onnx"
    path.write_bytes(content)
    import_model(path, card or their_card(), features or feature_map(), folder / "shelf", SIGNER)
    return folder / "shelf" / "their_model"


def test_it_comes_in_as_a_signed_draft_with_its_card_inside(tmp_path: Path, theirs: bytes) -> None:
    home = take_in(tmp_path, theirs)
    release = read_release(home, KEYS)
    assert (release.id, release.version, release.state) == ("their_model", "3.1.0", "draft")
    assert load_from_string((home / "model.onnx").read_bytes()).graph == load_from_string(theirs).graph
    assert "theirs.onnx, sha256" in json.loads((home / "manifest.json").read_text())["came_from"]


def test_the_same_gates_refuse_it_for_cards_because_it_does_not_explain_itself(tmp_path: Path, theirs: bytes) -> None:
    report = run_gates(read_subject(take_in(tmp_path, theirs), KEYS), evidence())
    results = {result.gate: result for result in report.results}
    assert results["G6"].status == "failed"
    assert "refused for cards" in results["G6"].why
    for gate in ("G1", "G2", "G5", "G14"):
        assert results[gate].status == "passed", (gate, results[gate].why)
    assert not report.green


def test_it_is_listed_verified_and_its_card_read_like_ours(tmp_path: Path, theirs: bytes) -> None:
    home = take_in(tmp_path, theirs)
    (listed,) = list_models(KEYS, home.parent)
    assert (listed.name, listed.state, listed.release, listed.signed_by) == (
        "their_model", "imported", "draft", "the tests",
    )  # fmt: skip
    (home / "card.json").write_text("{}")
    (listed,) = list_models(KEYS, home.parent)
    assert "card.json has sha256" in listed.state


def test_it_is_not_served_as_one_of_ours(tmp_path: Path, theirs: bytes) -> None:
    with pytest.raises(ManifestRefused):
        load_artifact(take_in(tmp_path, theirs), KEYS, signed=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m["features"].pop(), "takes 2 values, the map names 1"),
        (lambda m: m["tensors"].update(input="rows"), "the file takes X"),
        (lambda m: m["tensors"].update(probability="p"), "the file gives label, probabilities"),
        (lambda m: m.pop("population"), "population"),
        (lambda m: m["features"][0].pop("low"), "trained_low"),
        (lambda m: m.update(features=[]), "names no features"),
        (lambda m: m.update(id="../evil"), "is no id"),
        (lambda m: m.update(features=["age"]), "is an object"),
    ],
)
def test_a_map_that_does_not_fit_is_refused_and_nothing_is_written(
    tmp_path: Path, theirs: bytes, change: Callable[[Document], object], said: str
) -> None:
    features = feature_map()
    change(features)
    with pytest.raises(ImportRefused, match=said):
        take_in(tmp_path, theirs, features=features)
    assert not (tmp_path / "shelf").exists()


def test_an_incomplete_card_is_refused_by_number(tmp_path: Path, theirs: bytes) -> None:
    card = their_card()
    card["cautions"]["known_risks"]["words"] = ""
    with pytest.raises(CardIncomplete, match="attribute 10 "):
        take_in(tmp_path, theirs, card)


@pytest.mark.parametrize("change", [lambda c: c["model"].update(version="1"), lambda c: c.pop("model")])
def test_a_card_of_another_model_is_refused(
    tmp_path: Path, theirs: bytes, change: Callable[[Document], object]
) -> None:
    card = copy.deepcopy(their_card())
    change(card)
    with pytest.raises(CardIncomplete):
        take_in(tmp_path, theirs, card)


def test_an_unsafe_file_is_refused(tmp_path: Path, theirs: bytes) -> None:
    proto = load_from_string(theirs)
    proto.graph.node[0].domain = "com.example"
    with pytest.raises(UnsafeModel, match=r"com\.example"):
        take_in(tmp_path, proto.SerializeToString())
    with pytest.raises(UnsafeModel):
        take_in(tmp_path, b"\x80\x04\x95 a pickle")


def test_a_version_that_is_there_is_not_written_over(tmp_path: Path, theirs: bytes) -> None:
    take_in(tmp_path, theirs)
    with pytest.raises(ImportRefused, match="is there already"):
        take_in(tmp_path, theirs)


def logged(folder: Path, content: bytes, text: str) -> Path:
    """A model folder as MLflow writes it."""
    home = folder / "logged"
    home.mkdir()
    (home / "model.onnx").write_bytes(content)
    (home / "MLmodel").write_text(text)
    return home


MLMODEL = """artifact_path: model
flavors:
  onnx:
    code: null
    data: model.onnx
    onnx_version: 1.16.0
    providers:
    - CPUExecutionProvider
  python_function:
    data: model.onnx
    loader_module: mlflow.onnx
mlflow_version: 2.14.1
run_id: 8fd0a1
signature:
  inputs: '[{"type": "float", "name": "age_years", "required": true}, {"type": "float",
    "name": "creatinine_mg_dl", "required": true}]'
  outputs: '[{"type": "tensor"}]'
utc_time_created: '2026-11-01 08:00:00.000000'
"""


def test_an_mlflow_model_comes_in_by_its_onnx_flavour(tmp_path: Path, theirs: bytes) -> None:
    imported, _ = import_model(
        logged(tmp_path, theirs, MLMODEL), their_card(), feature_map(), tmp_path / "shelf", SIGNER
    )
    assert imported.came_from.startswith("MLflow 2.14.1 model of run 8fd0a1, sha256")


def test_an_mlflow_signature_in_another_order_is_refused(tmp_path: Path, theirs: bytes) -> None:
    features = feature_map()
    features["features"].reverse()
    with pytest.raises(ImportRefused, match="the MLflow signature says age_years, creatinine_mg_dl"):
        import_model(logged(tmp_path, theirs, MLMODEL), their_card(), features, tmp_path / "shelf", SIGNER)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flavors:\n  sklearn:\n    pickled_model: model.pkl\n", "flavours sklearn; only onnx"),
        ("flavors:\n  onnx:\n    data: ../../outside.onnx\n", "outside its folder"),
        ("", "flavours none"),
    ],
)
def test_other_flavours_are_pickles_and_refused(tmp_path: Path, theirs: bytes, text: str, said: str) -> None:
    with pytest.raises(ImportRefused, match=said):
        import_model(logged(tmp_path, theirs, text), their_card(), feature_map(), tmp_path / "shelf", SIGNER)


def test_a_folder_or_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="without MLmodel"):
        import_model(tmp_path, their_card(), feature_map(), tmp_path / "shelf", SIGNER)
    with pytest.raises(ImportRefused, match="is not there"):
        import_model(tmp_path / "absent.onnx", their_card(), feature_map(), tmp_path / "shelf", SIGNER)
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ImportRefused, match="holds no object"):
        read_json(tmp_path / "list.json")
    with pytest.raises(ImportRefused, match="cannot be read as JSON"):
        read_json(tmp_path / "absent.json")
