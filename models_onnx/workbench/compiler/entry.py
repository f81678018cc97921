"""Compiles a fitted model and rows of its reference cohort to one self-explaining file with a report."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import Groups, compile_fitted
from models_onnx.workbench.compiler.families.additive_trees import AdditiveTrees
from models_onnx.workbench.compiler.families.grouped import GroupedModel, facts_of
from models_onnx.workbench.compiler.families.shapley_trees import LEAST_COHORT
from models_onnx.workbench.compiler.link import FittedModel
from models_onnx.workbench.compiler.parity import Agreement, ask_library, proof_rows
from models_onnx.workbench.compiler.readers.calibrations import calibrated, unwrap
from models_onnx.workbench.compiler.readers.conversion import converted
from models_onnx.workbench.compiler.readers.network import OnnxSource
from models_onnx.workbench.compiler.readers.rows import as_numbers, inputs_of, refuse_unfitted
from models_onnx.workbench.compiler.readers.source import open_source
from models_onnx.workbench.compiler.reference import compare_with_cohort

Array = NDArray[np.float64]


_SCALES = {"logit": "log odds", "identity": "probability", "cloglog": "log cumulative hazard"}
SHAPLEY = ("boosted trees", "forest")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompilationReport:
    """What was compiled, how it explains itself, and how well it agrees; every difference is the largest one found.

    `rows_asked_of_library`: rows of the verification whose probability came from the library that fitted the model; the
    others come from the model as it was read.
    `rows_moved_by_float32`: rows of the reference cohort for which the library itself gives another probability (by
    more than 1e-5) after their values are rounded to float32, as the file receives them: a value such as 27.35 can be
    exactly a threshold. Fit and compile on X.astype(numpy.float32) to have none.
    """

    form: str
    link: str
    base: float
    features: tuple[str, ...]
    groups: tuple[str, ...]
    horizons: tuple[float, ...]
    explanation: str
    reference_rows: int
    rows_asked_of_library: int
    rows_moved_by_float32: int
    agreement: Agreement
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """The bytes of the ONNX file and the report."""

    content: bytes
    report: CompilationReport


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """The caller's description of the model; it is written into the file unchanged."""

    name: str
    version: str
    card: Mapping[str, Any] | None

    def metadata(self, model: FittedModel, rows: int) -> dict[str, str]:
        """Return the metadata_props: identity, inputs in order, card and feature dictionary as JSON."""
        ranges = zip(model.features, model.low, model.high, strict=True)
        described = [{"name": name, "trained_low": low, "trained_high": high} for name, low, high in ranges]
        return {
            "model_id": self.name,
            "model_version": self.version,
            "reference_rows": str(rows),
            "features": _json(list(model.features)),
            "feature_dictionary": _json(described),
            "model_card": _json(self.card or {}),
        }


def form_of(form: str, model: FittedModel) -> str:
    """Return the form of the source, or the form it was converted to if each of its trees uses one input only."""
    return "additive trees" if isinstance(model, AdditiveTrees) and form != "EBM" else form


def explanation(form: str, model: FittedModel, count: int) -> str:
    """Return a sentence that says what the contributions are, for the file and the report."""
    if isinstance(model, GroupedModel):
        return facts_of(model)["explanation"]
    if form in SHAPLEY:
        how = f"Exact interventional Shapley values against all {count} people of the reference cohort"
    else:
        how = f"Each input's own term, less its mean over the {count} people of the reference cohort"
    pairs = " Of a pair of inputs each has its Shapley value against the same people." if form == "EBM" else ""
    return f"{how}, on the scale of the {_SCALES[model.link.name]}.{pairs}"


def digest(content: bytes) -> str:
    """sha256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _json(document: Any) -> str:
    return msgspec.json.encode(document).decode()


def compile_model(
    model: Any,
    reference: Any,
    *,
    outcomes: Any = None,
    name: str = "model",
    version: str = "0.0.0",
    features: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    card: Mapping[str, Any] | None = None,
) -> CompiledModel:
    """Return one ONNX file of standard operators with probability, exact contributions, and a reference cohort.

    `model`: a fitted scikit-learn LogisticRegression (also behind imputers, scalers, one-hot codes),
    HistGradientBoosting-, GradientBoosting-, RandomForest- or ExtraTreesClassifier, interpret's
    ExplainableBoostingClassifier, a CoxModel, one of these in a CalibratedClassifierCV whose calibration is a line on
    the margin, a LightGBM or XGBoost object, or the path of a LightGBM text or XGBoost JSON file. With `groups`, at
    most ten, also any ONNX file (an OnnxSource), deeper trees, and whatever scikit-learn object skl2onnx converts.

    `reference`: rows [n, F] of the cohort with which people are compared (array or data frame, NaN where missing); with
    their `outcomes` (0 or 1) the file contains observed rates. None of these people should have been used for training.
    `groups`: inputs that are explained together. `card` goes into metadata_props as JSON (`model_card`).

    Raises:
        CompileRefused: the model cannot be compiled; the message says why and what to do.
        ParityRefused, AdditivityRefused: the file differs from the model by more than 1e-5 on the cohort, on the cohort
            with values removed, or on a threshold.
    """
    read = read_model(model, reference, features, groups)
    return _explained(read, model, outcomes, groups or {}, ModelDescription(name, version, card))


@dataclass(frozen=True, slots=True)
class ReadModel:
    """The model in its family, and the reference cohort as numbers."""

    form: str
    fitted: FittedModel
    features: tuple[str, ...]
    X: Array


def read_model(
    model: Any,
    reference: Any,
    features: Sequence[str] | None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> ReadModel:
    """Return the model against a reference cohort [n, F]; raise as `compile_model` does.

    What is of no form that is explained input by input is read as an ONNX file, where `groups` say how to explain it.
    """
    if isinstance(model, OnnxSource):
        return _grouped(model, reference, features, groups or {})
    refuse_unfitted(model)
    try:
        return _by_input(model, reference, features)
    except CompileRefused:
        names = list(reference.columns) if hasattr(reference, "columns") else features
        source = converted(model, names) if groups else None
        if source is None:
            raise
        return _grouped(source, reference, features, groups or {})


def _grouped(
    source: OnnxSource, reference: Any, features: Sequence[str] | None, groups: Mapping[str, Sequence[str]]
) -> ReadModel:
    names = inputs_of(reference, None, features)
    X = _checked(as_numbers(reference, names))
    return ReadModel("groups of inputs", GroupedModel.read(source, names, groups, X), names, X)


def _by_input(model: Any, reference: Any, features: Sequence[str] | None) -> ReadModel:
    inner, line = unwrap(model)
    source = open_source(inner)
    names = inputs_of(reference, source.features, features)
    input_count = getattr(inner, "n_features_in_", None)
    if input_count is not None and input_count != len(names):
        raise CompileRefused(f"the model takes {input_count} inputs, the reference rows have {len(names)} columns")
    X = _checked(as_numbers(reference, names))
    fitted = calibrated(source.explained(X, names), line)
    return ReadModel(form_of(source.form, fitted), fitted, names, X)


def _explained(
    read: ReadModel,
    model: Any,
    outcomes: Any,
    groups: Mapping[str, Sequence[str]],
    description: ModelDescription,
) -> CompiledModel:
    fitted, X = read.fitted, read.X
    rows = proof_rows(X, fitted)
    answers = ask_library(model, fitted, rows, X, read.features)

    def oracle(values: Array) -> tuple[Array, Array]:
        return answers.probability, fitted.contributions(values)

    explained_groups = fitted.groups if isinstance(fitted, GroupedModel) else Groups.of(read.features, groups)
    sentence = explanation(read.form, fitted, len(X))
    metadata = {
        **description.metadata(fitted, len(X)),
        "explanation": sentence,
        **(facts_of(fitted) if isinstance(fitted, GroupedModel) else {}),
    }
    cohort = compare_with_cohort(fitted, X, None if outcomes is None else np.asarray(outcomes))
    done = compile_fitted(description.name, fitted, cohort, metadata, oracle, rows, explained_groups)
    report = CompilationReport(
        form=read.form,
        link=fitted.link.name,
        base=fitted.base,
        features=read.features,
        groups=explained_groups.names,
        horizons=tuple(getattr(fitted.link, "horizons", ())),
        explanation=sentence,
        reference_rows=len(X),
        rows_asked_of_library=answers.count,
        rows_moved_by_float32=answers.moved,
        agreement=done.agreement,
        bytes=len(done.content),
        sha256=digest(done.content),
    )
    return CompiledModel(done.content, report)


def _checked(X: Array) -> Array:
    if len(X) < LEAST_COHORT:
        raise CompileRefused(f"a reference cohort has {LEAST_COHORT} rows or more, {len(X)} were given")
    if np.isinf(X).any():
        raise CompileRefused("the reference cohort holds infinite values; a missing value is NaN")
    return X
