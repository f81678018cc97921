"""The answers of a model as columns of numpy."""

from typing import Any

import numpy as np

from models_onnx.batch import BatchModel, TableDeclaration


def score(model: BatchModel, table: Any, declared: TableDeclaration | None = None) -> dict[str, Any]:
    """The columns of the answer: numbers with NaN where there is none, texts with nothing."""
    answers = model.score(table, declared or TableDeclaration())
    return {
        name: answers.column(name).to_numpy() if str(answers.schema.field(name).type) == "double"
        else np.array(answers.column(name).to_pylist(), dtype=object)
        for name in answers.schema.names
    }  # fmt: skip
