"""How the rows of a table are named: which names stand in several rows, and which rows have none.

Of each name 8 bytes are kept, so that ten million rows take 80 MB.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import PanelRefused

_NO_NAMES: frozenset[type] = frozenset({dict, list, tuple, bytes, bytearray, bool})


class RowNames:
    """Counts the names of rows as they are read."""

    def __init__(self) -> None:
        self.rows = 0
        self.unnamed = 0
        self._hashes: list[NDArray[np.int64]] = []

    def take(self, names: Sequence[Any]) -> None:
        """Takes in the names of the next rows; PanelRefused where they are no texts or numbers."""
        if any(type(name) in _NO_NAMES for name in names):
            raise PanelRefused("The column of --id holds lists, structures or bytes: a text or a number names a row.")
        given = [hash(str(name)) for name in names if not is_blank(name)]
        self._hashes.append(np.array(given, dtype=np.int64))
        self.rows += len(names)
        self.unnamed += len(names) - len(given)

    @property
    def repeated(self) -> int:
        """How many rows have a name that a row before has too."""
        hashes = np.concatenate(self._hashes) if self._hashes else np.empty(0, dtype=np.int64)
        return len(hashes) - len(np.unique(hashes))


def is_blank(name: Any) -> bool:
    """Returns whether this names nobody."""
    return name is None or name != name or not str(name).strip()


def refuse_unnamed(names: Sequence[Any], first_row: int) -> None:
    """Raises PanelRefused for a row without a name: a FHIR resource has to say whom it is about."""
    for index, name in enumerate(names):
        if is_blank(name):
            raise PanelRefused(
                f"Row {first_row + index} has no id, and a RiskAssessment says whom it is about: name its row, or "
                "write to .csv or .parquet."
            )
