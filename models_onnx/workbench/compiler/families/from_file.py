"""A model file of this project as a fitted model, for a recalibration: its own operators stay, so they stay exact."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, helper, load_from_string, numpy_helper

from models_onnx.artifact.onnx_file import refuse_unsafe
from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.incidence import AT_HORIZONS, Incidence
from models_onnx.workbench.compiler.graph import Graph
from models_onnx.workbench.compiler.link import LOGIT, Link, Survival

Array = NDArray[np.float64]
_CONTRIBUTIONS = "contributions"


@dataclass(frozen=True, slots=True)
class FromFile:
    """The model of a file; margin = intercept + slope * the file's own margin."""

    content: bytes
    session: onnxruntime.InferenceSession
    features: tuple[str, ...]
    base: float
    link: Link
    low: tuple[float, ...]
    high: tuple[float, ...]
    intercept: float = 0.0
    slope: float = 1.0

    @classmethod
    def read(cls, path: Path) -> Self:
        """Returns the model of this file.

        Raises:
            CompileRefused: The file is not one of this project, or its contributions are no exact ones on a margin.
        """
        content = path.read_bytes()
        refuse_unsafe(content)
        proto = load_from_string(content)
        facts = {item.key: item.value for item in proto.metadata_props}
        values = {item.name: item for item in proto.graph.initializer}
        if not {"features", "base", "link"} <= facts.keys() or not {"low", "high"} <= values.keys():
            raise CompileRefused(f"{path.name} is no file that cds-hooks wrote, so its terms are not known")
        if facts["link"] == "identity" or "groups" in facts or facts.get("approximate") == "true":
            raise CompileRefused(
                f"{path.name} has no exact contributions on a margin of its own, which a line could recalibrate; train "
                "a new version instead (cds-hooks model retrain)"
            )
        low, high = (tuple(numpy_helper.to_array(values[name]).astype(float).tolist()) for name in ("low", "high"))
        names = tuple(json.loads(facts["features"]))
        return cls(content, _session(content), names, float(facts["base"]), _link(facts, proto), low, high)

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """None: the operators are the file's own, so no knot can be misread."""
        return ((),) * len(self.features)

    def contributions(self, X: Array) -> Array:
        """Returns the file's contributions, times the slope."""
        return self.slope * self._answer(X, _CONTRIBUTIONS)

    def margin(self, X: Array) -> Array:
        """Returns the file's margin, recalibrated."""
        file_base = (self.base - self.intercept) / self.slope
        return np.asarray(self.intercept + self.slope * (file_base + self._answer(X, _CONTRIBUTIONS).sum(axis=1)))

    def margins(self, X: Array) -> Array:
        """Returns the margins [n, H] at each horizon of a model with competing events, recalibrated."""
        return np.asarray(self.intercept + self.slope * np.log(-np.log1p(-self._answer(X, "risk"))))

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """Returns the same model with margin = intercept + slope * margin."""
        return replace(
            self,
            base=intercept + slope * self.base,
            intercept=intercept + slope * self.intercept,
            slope=slope * self.slope,
        )

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Writes the operators of the file that its contributions come from."""
        written = {"features": features, "missing": missing, "": ""}
        proto = load_from_string(self.content)
        wanted = [_CONTRIBUTIONS, *([AT_HORIZONS] if isinstance(self.link, Incidence) else [])]
        constants = {item.name: numpy_helper.to_array(item) for item in proto.graph.initializer}
        with graph.under("before/"):
            for node in _behind(proto, wanted):
                for name in set(node.input) & constants.keys() - written.keys():
                    written[name] = graph.constant(name, constants[name], constants[name].dtype)
                attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
                if node.domain:
                    attributes["domain"] = node.domain
                inputs = [written[name] for name in node.input]
                written[node.output[0]] = graph.node(node.op_type, inputs, node.output[0], **attributes)
        if isinstance(self.link, Incidence):
            line = (graph.constant(name, getattr(self, name), np.float64) for name in ("slope", "intercept"))
            scaled = graph.node("Mul", [written[AT_HORIZONS], next(line)], "scaled_horizons")
            graph.node("Add", [scaled, next(line)], AT_HORIZONS.partition("/")[2])
        if self.slope == 1.0:
            return written[_CONTRIBUTIONS]
        slope = graph.constant("slope", self.slope, np.float64)
        return graph.node("Mul", [written[_CONTRIBUTIONS], slope], "recalibrated")

    def _answer(self, X: Array, output: str) -> Array:
        with np.errstate(over="ignore"):
            rows = X.astype(np.float32)
        return np.asarray(self.session.run([output], {"features": rows})[0], dtype=np.float64)


def _session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _link(facts: dict[str, str], proto: ModelProto) -> Link:
    if facts["link"] == "logit":
        return LOGIT
    horizons = tuple(json.loads(facts["horizons"]))
    if "incidence" in facts:
        # of the baseline only that it rises is read: the file's own operators give the risk at each horizon
        return Incidence.at({years: years for years in horizons}, float(facts["horizon"]), facts["horizon_unit"])
    shifts = next(numpy_helper.to_array(item) for item in proto.graph.initializer if item.name == "horizon_shift")
    # only ratios of the hazards are written: the base has the hazard at the main horizon
    hazards = tuple(np.exp(shifts[: len(horizons)]).tolist())
    return Survival(horizons, hazards, float(facts["horizon"]), facts["horizon_unit"])


def _behind(proto: ModelProto, outputs: list[str]) -> list[Any]:
    """Returns the nodes that these outputs are computed from, in the order of the file, without that of `missing`."""
    wanted, nodes = {*outputs}, []
    for node in reversed(proto.graph.node):
        if wanted & set(node.output) and "missing" not in node.output:
            wanted |= set(node.input)
            nodes.append(node)
    return nodes[::-1]
