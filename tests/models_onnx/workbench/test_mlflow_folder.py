"""What is read of a folder that MLflow logged: the file of its ONNX flavour, and the inputs of its signature."""

from pathlib import Path

import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.workbench import mlflow_folder
from models_onnx.workbench.mlflow_folder import read_mlflow

MLMODEL = """artifact_path: model
flavors:
  onnx:
    code: null
    data: model.onnx
    onnx_version: 1.16.0
  python_function:
    loader_module: mlflow.onnx
mlflow_version: 2.14.1
signature:
  inputs: '[{"type": "double", "name": "age"}, {"type": "double", "name": "it''s"}]'
  outputs: null
"""


def _logged(folder: Path, text: str) -> Path:
    (folder / "MLmodel").write_text(text)
    return folder


def test_the_model_and_the_inputs_of_an_mlflow_folder(tmp_path: Path) -> None:
    model = read_mlflow(_logged(tmp_path, MLMODEL))
    assert (model.model, model.inputs) == (tmp_path / "model.onnx", ("age", "it's"))
    quoted = read_mlflow(_logged(tmp_path, MLMODEL.replace("model.onnx", '"model.onnx"')))
    assert quoted.model == tmp_path / "model.onnx"
    (tmp_path / "MLmodel").unlink()
    with pytest.raises(TrainingRefused, match=r"is a folder without MLmodel: give an ONNX file or an MLflow model$"):
        read_mlflow(tmp_path)


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
    with pytest.raises(TrainingRefused) as problem:
        read_mlflow(_logged(tmp_path, text))
    assert str(problem.value) == refusal
