"""Groups of inputs that are explained as one: the columns of a one-hot code, a value and its square, a panel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.graph import Graph
from models_onnx.errors import CompileRefused


@dataclass(frozen=True, slots=True)
class Groups:
    """Each input belongs to one group; a group's contribution is the sum of its inputs' (responsible-ai 7.3 a)."""

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]

    @classmethod
    def alone(cls, features: Sequence[str]) -> Self:
        """Every input on its own line."""
        return cls(tuple(features), tuple((j,) for j in range(len(features))))

    @classmethod
    def of(cls, features: Sequence[str], declared: Mapping[str, Sequence[str]]) -> Self:
        """The declared groups where their first input stands, the others alone; refuses an unknown or twice used input.

        >>> Groups.of(["age", "unit_a", "unit_b"], {"unit": ["unit_a", "unit_b"]}).members
        ((0,), (1, 2))
        """
        used = [member for members in declared.values() for member in members]
        if unknown := sorted(set(used) - set(features)):
            raise CompileRefused(f"a group names {', '.join(unknown)}, which is not an input")
        if twice := sorted({member for member in used if used.count(member) > 1}):
            raise CompileRefused(f"{', '.join(twice)} is in two groups; its contribution can be shown once only")
        if clash := sorted((set(declared) & set(features)) - set(used)):
            raise CompileRefused(f"a group is called like the input {', '.join(clash)}, which is not in it")
        owner = {member: name for name, members in declared.items() for member in members}
        found: dict[str, list[int]] = {}
        for j, feature in enumerate(features):
            found.setdefault(owner.get(feature, feature), []).append(j)
        return cls(tuple(found), tuple(tuple(members) for members in found.values()))

    @property
    def trivial(self) -> bool:
        """Whether every input is a group of its own, in order."""
        return self.members == tuple((j,) for j in range(len(self.members)))

    def matrix(self) -> NDArray[np.float64]:
        """1 where an input [row] belongs to a group [column]."""
        matrix = np.zeros((sum(map(len, self.members)), len(self.members)))
        for column, members in enumerate(self.members):
            matrix[list(members), column] = 1.0
        return matrix

    def summed(self, contributions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Contributions of inputs [N, F] as those of groups [N, G]."""
        return contributions if self.trivial else contributions @ self.matrix()

    def write(self, graph: Graph, contributions: str) -> str:
        """The same in a graph."""
        if self.trivial:
            return contributions
        return graph.node("MatMul", [contributions, graph.constant("groups", self.matrix(), np.float64)], "grouped")

    def metadata(self, features: Sequence[str]) -> str:
        """Names and members in the order of the columns of `contributions`, as JSON."""
        listed = [
            {"name": name, "members": [features[j] for j in members]}
            for name, members in zip(self.names, self.members, strict=True)
        ]
        return msgspec.json.encode(listed).decode()
