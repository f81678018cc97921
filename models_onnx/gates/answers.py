"""Runs a candidate's file as the server would, one thread, and takes what it answers for whole batches."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models_onnx.errors import UnsafeModel
from models_onnx.wiring import Wiring

Array = NDArray[np.float64]

__all__ = ["Answers", "Runner", "Wiring"]


@dataclass(frozen=True, slots=True)
class Answers:
    """Every output for N rows; None for what the file does not give."""

    probability: Array
    margin: Array | None
    contributions: Array | None
    missing: NDArray[np.bool_] | None
    out_of_range: NDArray[np.bool_] | None
    base: float | None
    link: str

    def raw(self) -> dict[str, bytes]:
        """The bytes of every output that there is, for comparisons bit by bit."""
        parts = {
            name: getattr(self, name) for name in ("probability", "margin", "contributions", "missing", "out_of_range")
        }
        return {name: np.ascontiguousarray(value).tobytes() for name, value in parts.items() if value is not None}

    @property
    def explains(self) -> bool:
        """Whether margin, base and contributions are all there."""
        return self.margin is not None and self.contributions is not None and self.base is not None


class Runner:
    """One session on one file."""

    def __init__(self, content: bytes, wiring: Wiring) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.wiring = wiring
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.inputs = {item.name: (item.type, list(item.shape)) for item in self._session.get_inputs()}
        self.outputs = {item.name for item in self._session.get_outputs()}
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._wanted = [name for name in self._names() if name in self.outputs]

    def answers(self, rows: NDArray[np.float32]) -> Answers:
        """The answers for these rows; UnsafeModel where the file cannot be run on them."""
        try:
            found = dict(zip(self._wanted, self._session.run(self._wanted, {self.wiring.input: rows}), strict=True))
        except Exception as problem:  # onnxruntime raises classes of its own, without a common one it documents
            raise UnsafeModel(f"the model cannot be run on {rows.shape} values: {str(problem)[:160]}") from problem
        return Answers(
            self._probability(found[self.wiring.probability]),
            self._float(found, self.wiring.margin),
            self._float(found, self.wiring.contributions),
            self._bool(found, self.wiring.missing),
            self._bool(found, self.wiring.out_of_range),
            self._base(),
            self.metadata.get("link", "logit"),
        )

    def _names(self) -> list[str]:
        wiring = self.wiring
        named = (wiring.probability, wiring.margin, wiring.contributions, wiring.missing, wiring.out_of_range)
        return [name for name in named if name is not None]

    def _probability(self, value: Any) -> Array:
        if isinstance(value, list):  # ZipMap of the scikit-learn converters: one mapping from class to probability each
            classes = sorted(value[0])
            value = np.array([[row[label] for label in classes] for row in value])
        array = np.asarray(value, dtype=np.float64)
        if array.ndim == 2:
            array = array[:, self.wiring.column if self.wiring.column is not None else array.shape[1] - 1]
        return array.reshape(-1)

    def _float(self, found: dict[str, Any], name: str | None) -> Array | None:
        return None if name not in found else np.asarray(found[name], dtype=np.float64)

    def _bool(self, found: dict[str, Any], name: str | None) -> NDArray[np.bool_] | None:
        return None if name not in found else np.asarray(found[name], dtype=np.bool_)

    def _base(self) -> float | None:
        said = self.metadata.get(self.wiring.base or "")
        try:
            return None if said is None else float(said)
        except ValueError:
            return None
