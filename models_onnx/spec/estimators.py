"""The families of models that can be declared, simplest first (`training/crossvalidate.py` fits them).

AdditiveLogistic   broken lines, logistic                  logit      exact contributions
Fitted             a model that was fitted elsewhere       its own    as the compiler says (docs/models/compiler.md)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class AdditiveLogistic:
    """Logistic regression on piecewise-linear inputs: `knots` at quantiles of each, L2 penalty `C` of scikit-learn."""

    knots: int
    C: float

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        return "additive logistic regression (piecewise-linear in every input)"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model that was fitted elsewhere: nothing is fitted, and the table's rows are people it was not trained on.

    `source`: a file beside the declaration (ONNX; LightGBM text; XGBoost JSON). `trained_on` says for readers whom it
    was trained on, and is empty where nobody knows. `columns`: the model's own names of the inputs, in their order,
    where they are others. `groups`: inputs that are explained together where a file is explained by groups, at most
    ten. `answer`: what an ONNX file gives. `texts`: of inputs that an ONNX file takes as text, the number of each text,
    such as {"sex_male": {"M": 1, "F": 0}}. `factors`: of inputs that it takes in another unit, by what its number is
    multiplied to be in the feature's, such as {"creatinine_mg_dl": 0.01131}.
    """

    source: str
    trained_on: str
    columns: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    answer: Literal["probability", "log odds"] = "probability"
    texts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    """The names of the inputs; the ModelSpec puts them in."""
    folder: Path = Path()
    """The folder of the declaration."""

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        on_whom = f"on {self.trained_on}" if self.trained_on.strip() else "on whom is not known"
        return f"a model that was fitted elsewhere ({on_whom})"


Estimator: TypeAlias = AdditiveLogistic | Fitted
