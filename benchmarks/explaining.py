"""What an explanation costs: `python -m benchmarks.explaining` prints µs of one `session.run` next to shap.

One row, one thread, invented people (30 inputs, 15 % of most values missing); the file is explained against 20,000 of
them, shap against 100, because it takes no more. `probability and contributions` is what a card needs; `everything` is
every output of the file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

Array = NDArray[np.float64]
_RUNS, _SLOW_RUNS, _WARM = 2000, 60, 50
_PEOPLE, _BACKGROUND, _INPUTS = 20_000, 100, 30
_LIMIT_US = 40.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Median microseconds of one form; `beside` is the explainer that others would use on the same model."""

    form: str
    model: str
    bytes: int
    contributions: float
    everything: float
    beside: str
    beside_us: float
    largest_difference: float | None

    @property
    def additive(self) -> bool:
        """Whether the limit of issue 4 (40 µs) is for this form."""
        return self.form in ("logistic", "EBM", "additive trees")


def measure_explaining() -> list[dict[str, Any]]:
    """The same in a process of its own, with one thread for every library; what `make bench` calls."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.explaining", "--json"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def table_of(costs: list[dict[str, Any]]) -> Table:
    """For the terminal."""
    columns = "form", "model", "kB", "with contributions", "everything", "next to it", "µs", "largest difference"
    table = Table(*columns, title="One explained prediction in µs (median, one row, one thread)")
    for each in costs:
        limit = "" if not each["additive"] else f" (≤ {_LIMIT_US:.0f})"
        difference = "" if each["largest_difference"] is None else f"{each['largest_difference']:.0e}"
        table.add_row(
            each["form"],
            each["model"],
            f"{each['bytes'] / 1000:,.0f}",
            f"{each['contributions']:.0f}{limit}",
            f"{each['everything']:.0f}",
            each["beside"],
            f"{each['beside_us']:,.0f}",
            difference,
        )
    return table


def _all() -> list[Cost]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shap warns at import, scikit-learn about names: not what is measured
        X, y = _people()
        return [_logistic(X, y), _ebm(X, y), _stumps(X, y), *(_boosted(X, y, *size) for size in _SIZES)]


# rounds, leaves, depth
_SIZES = ((100, 8, 3), (300, 8, 3), (100, 16, 4))


def _people() -> tuple[Array, NDArray[np.int64]]:
    draw = np.random.default_rng(7)
    X = draw.normal(size=(_PEOPLE, _INPUTS)).astype(np.float32).astype(np.float64)
    X[:, 5:][draw.random((_PEOPLE, _INPUTS - 5)) < 0.15] = np.nan
    full = np.nan_to_num(X)
    margin = full[:, 0] + full[:, 1] * full[:, 2] + np.abs(full[:, 6]) - 1 + 0.3 * full[:, 5:15].sum(axis=1)
    return X, (draw.random(_PEOPLE) < 1 / (1 + np.exp(-margin))).astype(np.int64)


def _logistic(X: Array, y: NDArray[np.int64]) -> Cost:
    import shap
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import SplineTransformer, StandardScaler

    steps = (SimpleImputer(), StandardScaler(), SplineTransformer(n_knots=5))
    fitted = make_pipeline(*steps, LogisticRegression(max_iter=300)).fit(X, y)
    masker = shap.maskers.Independent(fitted[:-1].transform(X), max_samples=_PEOPLE)
    explainer = shap.LinearExplainer((fitted[-1].coef_[0], fitted[-1].intercept_[0]), masker)
    return _cost(
        fitted, X, "30 splines", "shap.LinearExplainer", lambda row: explainer.shap_values(fitted[:-1].transform(row))
    )


def _ebm(X: Array, y: NDArray[np.int64]) -> Cost:
    from interpret.glassbox import ExplainableBoostingClassifier

    kinds = ["continuous"] * _INPUTS
    fitted = ExplainableBoostingClassifier(interactions=5, outer_bags=2, max_rounds=100, n_jobs=1, feature_types=kinds)
    fitted.fit(X[:5000], y[:5000])
    return _cost(fitted, X, "30 inputs, 5 pairs", "interpret explain_local", fitted.explain_local)


def _stumps(X: Array, y: NDArray[np.int64]) -> Cost:
    from sklearn.ensemble import HistGradientBoostingClassifier

    fitted = HistGradientBoostingClassifier(max_iter=300, max_depth=1).fit(X, y)
    return _beside_shap(fitted, X, "300 stumps")


def _boosted(X: Array, y: NDArray[np.int64], rounds: int, leaves: int, depth: int) -> Cost:
    from sklearn.ensemble import HistGradientBoostingClassifier

    fitted = HistGradientBoostingClassifier(max_iter=rounds, max_leaf_nodes=leaves, max_depth=depth).fit(X, y)
    return _beside_shap(fitted, X, f"{rounds} × {leaves} leaves, depth {depth}")


def _beside_shap(fitted: Any, X: Array, words: str) -> Cost:
    """The values are compared too, both explained against the same hundred people."""
    import shap

    from models_onnx.workbench.compiler import compile_model

    explainer = shap.TreeExplainer(fitted, X[:_BACKGROUND], feature_perturbation="interventional")
    small = _session(compile_model(fitted, X[:_BACKGROUND]).content)
    rows = X[_BACKGROUND : 2 * _BACKGROUND]
    told = np.asarray(small.run(["contributions"], {"features": rows.astype(np.float32)})[0])
    difference = float(np.abs(told - explainer.shap_values(rows)).max())
    return _cost(fitted, X, words, "shap, 100 people", explainer.shap_values, difference)


def _cost(
    fitted: Any, X: Array, words: str, beside: str, explain: Callable[[Array], Any], difference: float | None = None
) -> Cost:
    from models_onnx.workbench.compiler import compile_model

    compiled = compile_model(fitted, X)
    session, row = _session(compiled.content), X[:1]
    given = {"features": row.astype(np.float32)}
    wanted = ["probability", "contributions"]
    return Cost(
        form=compiled.report.form,
        model=words,
        bytes=len(compiled.content),
        contributions=_microseconds(lambda: session.run(wanted, given), _RUNS),
        everything=_microseconds(lambda: session.run(None, given), _RUNS),
        beside=beside,
        beside_us=_microseconds(lambda: explain(row), _SLOW_RUNS),
        largest_difference=difference,
    )


def _session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _microseconds(run: Callable[[], Any], times: int) -> float:
    taken = []
    for number in range(times + _WARM):
        started = perf_counter()
        run()
        if number >= _WARM:
            taken.append(perf_counter() - started)
    return 1e6 * median(taken)


def _main() -> None:
    if "--json" in sys.argv:
        print(json.dumps([asdict(cost) | {"additive": cost.additive} for cost in _all()]))
    else:
        Console(width=140).print(table_of(measure_explaining()))


if __name__ == "__main__":
    _main()
