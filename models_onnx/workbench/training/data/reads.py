"""The columns of a table that a declaration reads, seen by handing it a table that remembers what it was asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd

from models_onnx.spec import ModelSpec
from models_onnx.workbench.training.data.cohort import input_column
from models_onnx.workbench.training.data.follow_up import observe

# So few rows show which columns a function asks for.
_ROWS = 100


@dataclass(frozen=True, slots=True)
class Reads:
    """The inputs that are read from each column, the columns behind the outcome, and those of each axis of fairness."""

    inputs: Mapping[str, list[str]]
    outcome: frozenset[str]
    axes: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, spec: ModelSpec, rows: pd.DataFrame) -> Self:
        """Return what the declaration reads of these rows."""
        some, inputs = rows.head(_ROWS), dict[str, list[str]]()
        for item in spec.inputs:
            for column in sorted(_asked(partial(input_column, spec, item.name), some)):
                inputs.setdefault(column, []).append(item.name)
        axes = {axis: _asked(column_of, some) for axis, column_of in spec.subgroups.items()}
        return cls(inputs, _behind_outcome(spec, some), axes)


def _behind_outcome(spec: ModelSpec, rows: pd.DataFrame) -> frozenset[str]:
    follow_up = spec.outcome.follow_up
    if follow_up is not None:
        return _asked(follow_up.time, rows) | _asked(follow_up.event, rows)
    return _asked(lambda table: observe(spec.outcome, table, np.ones(len(rows), dtype=np.bool_)), rows)


class _Watched:
    """A table that remembers which of its columns were asked for."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._rows = rows
        self.asked: set[str] = set()

    def __getitem__(self, key: Any) -> Any:
        self.asked.update(key if isinstance(key, list) else [key])
        return self._rows[key]

    def __len__(self) -> int:
        return len(self._rows)


def _asked(function: Callable[[Any], Any], rows: pd.DataFrame) -> frozenset[str]:
    watched = _Watched(rows)
    function(watched)
    return frozenset(watched.asked & set(rows.columns))
