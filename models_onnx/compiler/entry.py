"""`compile_model`: a fitted model and rows of its reference cohort in, one proven self-explaining file out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.additive_trees import AdditiveTrees
from models_onnx.compiler.calibrated import calibrated, unwrap
from models_onnx.compiler.compile import compile_fitted
from models_onnx.compiler.fitted import FittedModel
from models_onnx.compiler.groups import Groups
from models_onnx.compiler.observed import observed
from models_onnx.compiler.parity import TOLERANCE, Agreement, boundary_rows
from models_onnx.compiler.rows import as_numbers, inputs_of, known_codes, library
from models_onnx.compiler.shapley_trees import DEEPEST
from models_onnx.compiler.sklearn_columns import Inputs
from models_onnx.compiler.source import Source, medians, open_source
from models_onnx.errors import CompileRefused, ParityRefused

Array = NDArray[np.float64]
PROOF_ROWS = 1200


@dataclass(frozen=True, slots=True)
class Report:
    """What was compiled, how it explains itself, and how well it agreed: all differences are the largest seen."""

    form: str
    link: str
    base: float
    features: tuple[str, ...]
    groups: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    horizons: tuple[float, ...]
    explained: bool
    explanation: str
    reference_rows: int
    rows_asked_of_library: int
    agreement: Agreement | None
    bytes: int
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """The bytes of the ONNX file and the report."""

    content: bytes
    report: Report

    def save(self, path: Path | str) -> None:
        """Writes the file."""
        Path(path).write_bytes(self.content)


def compile_model(
    model: Any,
    reference: Any,
    *,
    outcomes: Any = None,
    name: str = "model",
    version: str = "0.0.0",
    features: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    calibration: tuple[float, float] | None = None,
    card: Mapping[str, Any] | None = None,
    dictionary: Sequence[Mapping[str, Any]] | None = None,
    deepest: int = DEEPEST,
) -> CompiledModel:
    """One ONNX file of standard operators that says probability, exact contributions, and compared with whom.

    `model`: a fitted scikit-learn LogisticRegression (also behind imputers, scalers, splines, one-hot codes),
    HistGradientBoosting-, GradientBoosting-, RandomForest- or ExtraTreesClassifier, interpret's
    ExplainableBoostingClassifier, a CoxModel, one of these in a CalibratedClassifierCV(method="sigmoid",
    ensemble=False), a LightGBM or XGBoost object, or the path of a LightGBM text or XGBoost JSON file.
    `reference`: rows [n, F] of the cohort people are compared with (array or data frame, NaN where missing); with their
    `outcomes` (0 or 1) the file tells observed rates. Nobody of them should have been trained on.
    `groups`: inputs that are explained as one. `calibration`: intercept and slope of a recalibration of the margin.
    `card` and `dictionary` go into metadata_props as JSON (`model_card`, `feature_dictionary`).
    `deepest`: trees deeper than 4 are refused; up to 6 by this waiver.

    CompileRefused says what is not compiled and what to do; ParityRefused and AdditivityRefused mean that the file did
    not say what the model says, to 1e-5, on the cohort, with values taken away, and on every threshold.
    """
    inner, line = unwrap(model)
    source = open_source(inner, deepest)
    inputs = inputs_of(reference, source.features, features, source.text_allowed)
    # Reading the preparation settles the categories of text inputs, so rows are turned into numbers after it.
    if inputs.text:
        source.explained(np.full((1, len(inputs.names)), np.nan), inputs)
    X = _checked(as_numbers(reference, inputs))
    fitted = calibrated(source.explained(X, inputs), line)
    if calibration is not None:
        uncalibrated, fitted = fitted, fitted.recalibrated(*calibration)
    else:
        uncalibrated = fitted
    rows = proof_rows(X, fitted)
    asked = _ask(model, uncalibrated, reference, rows, inputs)
    own_groups = Groups.of(inputs.names, groups or {})
    outcome = None if outcomes is None else np.asarray(outcomes)
    explanation = _explanation(source, fitted, len(X))
    metadata = _metadata(name, version, fitted, inputs, X, explanation, card, dictionary)

    def oracle(values: Array) -> tuple[Array, Array]:
        told = asked.probability if calibration is None else fitted.link.probability(fitted.margin(values))
        return told, fitted.contributions(values)

    done = compile_fitted(name, fitted, observed(fitted, X, outcome), metadata, oracle, rows, own_groups)
    report = Report(
        form=_form(source, fitted),
        link=fitted.link.name,
        base=fitted.base,
        features=inputs.names,
        groups=own_groups.names,
        categories=inputs.categories,
        horizons=tuple(getattr(fitted.link, "horizons", ())),
        explained=True,
        explanation=explanation,
        reference_rows=len(X),
        rows_asked_of_library=asked.count,
        agreement=done.agreement,
        bytes=len(done.content),
        sha256=hashlib.sha256(done.content).hexdigest(),
    )
    return CompiledModel(done.content, report)


def proof_rows(X: Array, model: FittedModel) -> NDArray[np.float32]:
    """People of the cohort, the same with values taken away, and rows on and beside every edge of the model."""
    generator = np.random.default_rng(0)
    with np.errstate(over="ignore"):
        people = X[generator.integers(0, len(X), PROOF_ROWS // 2)].astype(np.float32)
    holes = np.where(generator.random(people.shape) < 0.3, np.float32(np.nan), people)
    return np.vstack([people, holes, boundary_rows(np.array(medians(X)), model.edges)])


@dataclass(frozen=True, slots=True)
class _Asked:
    """The probability of every row of the proof, and for how many of them the library itself gave it."""

    probability: Array
    count: int


def _ask(model: Any, fitted: FittedModel, reference: Any, rows: NDArray[np.float32], inputs: Inputs) -> _Asked:
    """The library's probabilities where it takes the row (missing, infinite), the margins walked in numpy elsewhere.

    ParityRefused where the two disagree: then the model was read wrongly.
    """
    X = rows.astype(np.float64)
    told = fitted.link.probability(fitted.margin(X))
    predict = getattr(model, "predict_proba", None)
    if predict is None:
        return _Asked(told, 0)
    framed = getattr(model, "feature_names_in_", None) is not None and type(model).__module__.startswith("sklearn")
    probability = library(predict, reference, inputs, framed)
    fits = known_codes(X, inputs)
    for wanted, without in ((np.isnan(X), "missing"), (np.isinf(X) | (np.abs(X) > 1e37), "infinite")):
        some = fits & wanted.any(axis=1)
        if some.any() and not _takes(probability, X[some][:1], without):
            fits &= ~wanted.any(axis=1)
    there = probability(X[fits])
    difference = float(np.abs(there - told[fits]).max()) if fits.any() else 0.0
    if not difference <= TOLERANCE:
        raise ParityRefused(f"read wrongly: the library's probability differs by up to {difference:.2e}")
    told[fits] = there
    return _Asked(told, int(fits.sum()))


def _takes(probability: Any, rows: Array, _what: str) -> bool:
    try:
        probability(rows)
    except (ValueError, TypeError):
        return False
    return True


def _checked(X: Array) -> Array:
    if X.ndim != 2 or not len(X):
        raise CompileRefused("the reference cohort is rows of inputs [n, F]")
    if np.isinf(X).any():
        raise CompileRefused("the reference cohort holds infinite values; a missing value is NaN")
    return X


def _form(source: Source, model: FittedModel) -> str:
    return "additive trees" if isinstance(model, AdditiveTrees) and source.form != "EBM" else source.form


def _explanation(source: Source, model: FittedModel, count: int) -> str:
    """One sentence about what the contributions are, for the file and the report."""
    scale = {"logit": "log odds", "identity": "probability", "cloglog": "log cumulative hazard"}[model.link.name]
    pairs = " A pair of inputs is split in halves between them." if source.form == "EBM" else ""
    if _form(source, model) in ("boosted trees", "forest"):
        how = f"Exact interventional Shapley values against all {count} people of the reference cohort"
    else:
        how = f"Each input's own term, less its mean over the {count} people of the reference cohort"
    return f"{how}, on the scale of the {scale}.{pairs}"


def _metadata(
    name: str,
    version: str,
    model: FittedModel,
    inputs: Inputs,
    X: Array,
    explanation: str,
    card: Mapping[str, Any] | None,
    dictionary: Sequence[Mapping[str, Any]] | None,
) -> dict[str, str]:
    described = dictionary if dictionary is not None else _dictionary(model, inputs)
    return {
        "model_id": name,
        "model_version": version,
        "explained": "true",
        "explanation": explanation,
        "reference_rows": str(len(X)),
        "features": _json(list(inputs.names)),
        "feature_dictionary": _json(described),
        "model_card": _json(card or {}),
    }


def _dictionary(model: FittedModel, inputs: Inputs) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for item, low, high in zip(inputs.names, model.low, model.high, strict=True):
        found.append({"name": item, "trained_low": low, "trained_high": high})
        if item in inputs.categories:
            found[-1]["categories"] = list(inputs.categories[item])
    return found


def _json(document: Any) -> str:
    return msgspec.json.encode(document).decode()
