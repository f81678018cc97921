"""What an import reads of a map, of an MLflow folder and of a file's tensors, by hand and to the word."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models_onnx.artifact.manifest import IMPORT_FORMAT, TensorNames
from models_onnx.errors import CardIncomplete, ImportRefused, UnsafeModel
from models_onnx.workbench import mlflow_folder
from models_onnx.workbench.mlflow_folder import read_mlflow
from models_onnx.workbench.release import importing
from models_onnx.workbench.release.importing import Origin, Signature, read_json, read_origin
from tests.models_onnx.workbench.release.test_importing import feature_map

ORIGIN = Origin(b"abc", "file theirs.onnx")
SIGNATURE = Signature((("X", "tensor(float)", (None, 2)),), ("label", "probabilities"))


def test_what_a_map_says_in_the_words_of_a_manifest() -> None:
    described = importing._described(feature_map(), ORIGIN)
    assert (described.id, described.format) == ("their_model", IMPORT_FORMAT)
    assert described.came_from == (
        "file theirs.onnx, sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert described.wiring == TensorNames("X", "probabilities", 1)
    age, creatinine = described.features
    assert (age.trained_low, age.trained_high, age.reference_value, age.loinc, age.clip_high, age.group) == (
        18.0, 100.0, 60.0, (), None, None,
    )  # fmt: skip
    assert (creatinine.trained_low, creatinine.trained_high, creatinine.loinc) == (0.2, 9.5, ("2160-0",))


@pytest.mark.parametrize("name", ["a-b", "a_b", "A1"])
def test_an_id_is_of_letters_digits_and_dashes(name: str) -> None:
    assert importing._described({**feature_map(), "id": name}, ORIGIN).id == name


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"features": []}, "the feature map names no features"),
        ({"id": "a b"}, "'a b' is no id: letters, digits, _ and - only"),
        ({"id": "_-"}, "'_-' is no id: letters, digits, _ and - only"),
        ({"features": ["age"]}, "each feature of the map is an object"),
    ],
)
def test_a_map_that_is_refused(changes: dict[str, Any], refusal: str) -> None:
    with pytest.raises(ImportRefused) as problem:
        importing._described({**feature_map(), **changes}, ORIGIN)
    assert str(problem.value) == refusal


def test_outputs_that_the_file_has_not_are_not_promised() -> None:
    imported = importing._described(feature_map(), ORIGIN)
    assert importing._wired(imported, SIGNATURE).wiring == TensorNames(
        "X", "probabilities", 1, margin=None, contributions=None, missing=None, out_of_range=None
    )
    more = replace(SIGNATURE, outputs=(*SIGNATURE.outputs, "margin"))
    assert importing._wired(imported, more).wiring.margin == "margin"


def _x(kind: str = "tensor(float)", shape: tuple[Any, ...] = (None, 2)) -> Signature:
    return replace(SIGNATURE, inputs=(("X", kind, shape),))


@pytest.mark.parametrize(
    ("signature", "inputs", "refusal"),
    [
        (SIGNATURE, (), None),
        (SIGNATURE, ("age_years", "creatinine_mg_dl"), None),
        (_x(shape=(None, "width")), (), None),
        (replace(SIGNATURE, inputs=(*SIGNATURE.inputs, ("W", "tensor(float)", (1, 2)))), (), (
            "the map says input 'X', the file takes W, X; one tensor of rows is needed"
        )),
        (replace(SIGNATURE, inputs=(("rows", "tensor(float)", (1, 2)),)), (), (
            "the map says input 'X', the file takes rows; one tensor of rows is needed"
        )),
        (replace(SIGNATURE, outputs=("p", "a")), (), (
            "the map says the probability is 'probabilities', the file gives a, p"
        )),
        (replace(SIGNATURE, no_numbers=("probabilities",)), (), (
            "probabilities is no number for a row of zeros: weights of the file may be none"
        )),
        (replace(SIGNATURE, no_numbers=("label",)), (), None),
        (_x("tensor(double)"), (), "X is tensor(double) [None, 2]; float32 rows are needed"),
        (_x(shape=(2,)), (), "X is tensor(float) [2]; float32 rows are needed"),
        (_x(shape=(None, 3)), (), "the file takes 3 values, the map names 2 features"),
        (SIGNATURE, ("creatinine_mg_dl", "age_years"), (
            "the map names age_years, creatinine_mg_dl; the MLflow signature says creatinine_mg_dl, age_years, in this "
            "order"
        )),
    ],
)  # fmt: skip
def test_a_map_and_a_file_agree(signature: Signature, inputs: tuple[str, ...], refusal: str | None) -> None:
    imported, origin = importing._described(feature_map(), ORIGIN), replace(ORIGIN, inputs=inputs)
    if refusal is None:
        importing._refuse_other_tensors(imported, signature, origin)
        return
    with pytest.raises(ImportRefused) as problem:
        importing._refuse_other_tensors(imported, signature, origin)
    assert str(problem.value) == refusal


MLMODEL = """artifact_path: model
flavors:
  onnx:
    code: null
    data: model.onnx
    onnx_version: 1.16.0
  python_function:
    loader_module: mlflow.onnx
mlflow_version: 2.14.1
run_id: 0a1b
signature:
  inputs: '[{"type": "double", "name": "age"}, {"type": "double", "name": "it''s"}]'
  outputs: null
"""


def _logged(folder: Path, text: str) -> Path:
    (folder / "MLmodel").write_text(text)
    return folder


def test_the_model_the_run_and_the_inputs_of_an_mlflow_folder(tmp_path: Path) -> None:
    model = read_mlflow(_logged(tmp_path, MLMODEL))
    assert (model.model, model.words, model.inputs) == (
        tmp_path / "model.onnx", "MLflow 2.14.1 model of run 0a1b", ("age", "it's"),
    )  # fmt: skip
    bare = MLMODEL.replace("mlflow_version: 2.14.1\nrun_id: 0a1b\n", "").replace("model.onnx", '"model.onnx"')
    model = read_mlflow(_logged(tmp_path, bare))
    assert (model.model, model.words) == (tmp_path / "model.onnx", "MLflow ? model of run ?")


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        ('\'[{"type": "tensor", "name": "X"}]\'', ()),
        ('\'[{"type": "double"}]\'', ()),
        ('\'{"name": "age"}\'', ()),
        ("'[1]'", ()),
        ("'[no'", ()),
        ("null", ()),
        ('\'[{"name": "age"}, {"type": "tensor", "name": "X"}]\'', ("age",)),
    ],
)
def test_a_signature_that_names_no_columns(inputs: str, names: tuple[str, ...]) -> None:
    assert mlflow_folder._inputs(f"signature:\n  inputs: {inputs}\n") == names


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (MLMODEL.replace("  onnx:", "  sklearn:"), (
            "the MLflow model has the flavours sklearn, python_function; only onnx is taken in, because the others are "
            "pickles or programs: log it with mlflow.onnx, or compile it with models_onnx.workbench.compiler"
        )),
        ("", (
            "the MLflow model has the flavours none; only onnx is taken in, because the others are pickles or programs"
            ": log it with mlflow.onnx, or compile it with models_onnx.workbench.compiler"
        )),
        (MLMODEL.replace("model.onnx", "../model.onnx"), "MLmodel names a file outside its folder: ../model.onnx"),
    ],
)  # fmt: skip
def test_an_mlflow_folder_that_is_refused(text: str, refusal: str, tmp_path: Path) -> None:
    with pytest.raises(ImportRefused) as problem:
        read_mlflow(_logged(tmp_path, text))
    assert str(problem.value) == refusal


def test_the_bytes_of_a_file_and_of_a_logged_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.onnx").write_bytes(b"abc")
    assert read_origin(tmp_path / "a.onnx") == Origin(b"abc", "file a.onnx", ())
    _logged(tmp_path, MLMODEL)
    (tmp_path / "model.onnx").write_bytes(b"logged")
    assert read_origin(tmp_path) == Origin(b"logged", "MLflow 2.14.1 model of run 0a1b", ("age", "it's"))
    with pytest.raises(ImportRefused, match=r"b\.onnx is not there$"):
        read_origin(tmp_path / "b.onnx")
    (tmp_path / "MLmodel").unlink()
    with pytest.raises(ImportRefused, match=r"is a folder without MLmodel: give an ONNX file or an MLflow model$"):
        read_origin(tmp_path)
    monkeypatch.setattr(importing, "LARGEST_BYTES", 3)
    assert read_origin(tmp_path / "a.onnx").content == b"abc"
    monkeypatch.setattr(importing, "LARGEST_BYTES", 2)
    with pytest.raises(UnsafeModel, match=r"^a\.onnx is larger than 0 MB$"):
        read_origin(tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("card", "refusal"),
    [
        ({}, "the card says nothing about its model (model.id, model.version, model.title)"),
        ({"model": "x"}, "the card says nothing about its model (model.id, model.version, model.title)"),
        ([], "the card says nothing about its model (model.id, model.version, model.title)"),
        ({"model": {"id": "their_model", "version": "3.0.0"}}, (
            "the card is of their_model 3.0.0, the map of their_model 3.1.0"
        )),
        ({"model": {"id": "ours", "version": "3.1.0"}}, "the card is of ours 3.1.0, the map of their_model 3.1.0"),
    ],
)  # fmt: skip
def test_a_card_of_another_model(card: Any, refusal: str) -> None:
    with pytest.raises(CardIncomplete) as problem:
        importing._complete(card, importing._described(feature_map(), ORIGIN), b"")
    assert str(problem.value) == refusal


def test_a_file_that_holds_no_object(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text('{"a": 1}')
    assert read_json(path) == {"a": 1}
    path.write_text("[]")
    with pytest.raises(ImportRefused, match=r"map\.json holds no object$"):
        read_json(path)
    path.write_text("{")
    with pytest.raises(ImportRefused, match=r"map\.json cannot be read as JSON: "):
        read_json(path)
