"""A small writer of ONNX graphs: it names nodes and constants, and writes one fixed opset."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, compose, helper, numpy_helper

FLOAT, DOUBLE, BOOL, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.BOOL, TensorProto.INT64

# Fixed, so that the same model gives the same bytes with a newer onnx package; onnxruntime 1.14 and later read it. Only
# an included file of a later opset raises it.
OPSET = 18
IR_VERSION = 8
# TreeEnsembleRegressor as onnxruntime has had it since 1.11.
ML_DOMAIN, ML_OPSET = "ai.onnx.ml", 3
# The name of the constant [1], which every graph has.
SECOND_AXIS = "second_axis"
PRODUCER = "cds-hooks-onnx"


class Graph:
    """Nodes and constants in the order they were added; every method returns the name of a tensor."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._prefix = ""
        self._opset = OPSET
        self.constant(SECOND_AXIS, [1], np.int64)

    @contextmanager
    def under(self, prefix: str) -> Iterator[None]:
        """Everything written inside the `with` block gets this prefix, so that one part can be written twice."""
        before, self._prefix = self._prefix, self._prefix + prefix
        yield
        self._prefix = before

    def input(self, name: str, kind: int, shape: list[str | int]) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, kind: int, shape: list[str | int]) -> None:
        """Declare an existing tensor as an output of the graph."""
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def constant(self, name: str, value: Any, dtype: Any) -> str:
        """Return a constant of that name and type; the same name gives the same constant again."""
        name = self._prefix + name
        tensor = numpy_helper.from_array(np.asarray(value, dtype=dtype), name)
        earlier = next((constant for constant in self._constants if constant.name == name), None)
        if earlier is not None:
            if earlier != tensor:
                raise ValueError(f"two constants of the name {name!r}")
            return name
        self._constants.append(tensor)
        return name

    def node(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Return one operator with one output, which has the given name."""
        name = self._prefix + name
        self._nodes.append(helper.make_node(operator, inputs, [name], name=f"{operator}:{name}", **attributes))
        return name

    def include(self, proto: ModelProto, inputs: Mapping[str, str], prefix: str) -> str:
        """Write all of another graph under a prefix, its inputs wired to tensors of this one; its first output."""
        self._opset = max(self._opset, *(item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")))
        graph = compose.add_prefix(proto, self._prefix + prefix).graph
        for name, tensor in inputs.items():
            self.node("Identity", [tensor], f"{prefix}{name}")
        self._constants.extend(graph.initializer)
        self._nodes.extend(graph.node)
        return str(graph.output[0].name)

    def row_sums(self, matrix: str, columns: int, name: str) -> str:
        """Return sums [N, 1] of a float64 [N, columns] as a product with ones.

        ReduceSum adds in a different order depending on where a row begins in memory, so the last bits of a row's sum
        could depend on its position in the batch; those of a matrix product do not.
        """
        return self.node("MatMul", [matrix, self.constant(f"ones_{columns}", np.ones((columns, 1)), np.float64)], name)

    def model(self, name: str, metadata: dict[str, str]) -> ModelProto:
        """Return the whole file; its metadata are sorted, without time stamp or version of the writing software."""
        graph: GraphProto = helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._constants)
        opsets = [helper.make_opsetid("", self._opset)]
        if any(node.domain == ML_DOMAIN for node in self._nodes):
            opsets.append(helper.make_opsetid(ML_DOMAIN, ML_OPSET))
        ir_version = max(IR_VERSION, helper.find_min_ir_version_for(opsets))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, producer_name=PRODUCER)
        helper.set_model_props(model, dict(sorted(metadata.items())))
        return model
