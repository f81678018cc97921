"""Reads the trees of a model file, and refuses a pickle."""

from collections.abc import Sequence
from pathlib import Path

from fhir.terminology.plain_file import unreadable
from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.trees import Ensemble
from models_onnx.workbench.compiler.readers.trees import parse_lightgbm, parse_xgboost

PICKLES = (".pkl", ".pickle", ".joblib", ".sav", ".skops", ".dill")


def read_file(path: Path) -> Ensemble:
    """Return the ensemble of a LightGBM (text) or XGBoost (JSON) file; a pickle is refused."""
    if not path.is_file():
        raise CompileRefused(f"{unreadable(path)}; `source` of a declaration is a file beside it")
    content = path.read_bytes()
    if path.suffix.lower() in PICKLES or content[:1] == b"\x80" or content[:2] == b"PK":
        raise CompileRefused(
            f"{path.name} is a pickle or an archive of one, which could run anything when it is read, so it never is. "
            "Where it was fitted, write it in its library's own format (LightGBM: text, XGBoost: JSON) or as an ONNX "
            "file (skl2onnx.to_onnx) and name that file"
        )
    if content.startswith((b"tree\n", b"tree\r\n")):
        return parse_lightgbm(path.name, content.decode("utf-8", "replace").replace("\r\n", "\n"))
    if content.lstrip().startswith(b"{"):
        return parse_xgboost(path.name, content)
    raise CompileRefused(f"{path.name} is neither a LightGBM text file nor an XGBoost JSON file")


def refuse_other_names(model_names: Sequence[str], names: Sequence[str]) -> None:
    """CompileRefused where the model has another number of inputs, or the same ones in another order."""
    if len(names) != len(model_names):
        raise CompileRefused(f"the model has {len(model_names)} inputs, {len(names)} names were given")
    if set(names) == set(model_names) and tuple(names) != tuple(model_names):
        raise CompileRefused(f"the inputs are named in another order than the model's: {', '.join(model_names)}")
