"""Evaluates definitions of a library for one patient at one instant, within limits."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cards.knowledge.elm import (  # noqa: F401  (each registers the nodes that it compiles)
    arithmetic,
    clinical,
    intervals,
    lists,
    logic,
    queries,
    strings,
    temporal_nodes,
    types,
)
from cards.knowledge.elm.clinical import ValueSet
from cards.knowledge.elm.compiling import Body, Closure, Library
from cards.knowledge.elm.errors import CqlError, LimitExceeded, UnknownData
from cards.knowledge.elm.fhir_model import Node
from cards.knowledge.elm.limits import Budget, spend
from cards.knowledge.elm.parameters import read_parameter
from cards.knowledge.elm.temporal import Temporal, read_temporal
from cards.knowledge.elm.values import Value

_MOST_FRAMES: Final = 10_000
"""A definition that refers to others two hundred deep needs some ten frames of Python for each."""


class Evaluation:
    """One evaluation: the patient's resources, the instant, the parameters, and what was computed so far.

    `unknown` are the types of resources of which it is not known which ones the patient has. `now` is ISO 8601; its
    offset is the time zone of the evaluation.

    Raises:
        CqlError: `now` is not a date or an instant.
    """

    def __init__(
        self,
        resources: Iterable[Mapping[str, Any]],
        value_sets: Mapping[str, ValueSet],
        now: str,
        parameters: Mapping[str, Any],
        unknown: Iterable[str] = (),
    ) -> None:
        instant = read_temporal(now, "DateTime")
        if instant is None:
            raise CqlError("`now` must be an ISO 8601 date or date-time.")
        self.home = instant.offset
        self.now = Temporal("DateTime", instant.lowest().parts, self.home, self.home)
        self.values: dict[Body, Value] = {}
        self.retrieved: dict[Closure, list[Node]] = {}
        self.budget = Budget()
        self._value_sets = value_sets
        self._given = parameters
        self._parameters: dict[tuple[str, str], Value] = {}
        self._unknown = frozenset(unknown)
        self._nodes: dict[str, list[Node]] = {}
        for resource in resources:
            kind = str(resource.get("resourceType"))
            self._nodes.setdefault(kind, []).append(Node(kind, resource, self.home))

    def definition(self, body: Body) -> Value:
        """Return the value of a definition, computed once; what is fixed once for all evaluations."""
        values = body.library.fixed if body.is_fixed else self.values
        if body not in values:
            values[body] = body.evaluate(self)
        return values[body]

    def parameter(self, library: Library, name: str) -> Value:
        """Return the value of a parameter: as given, else its default, else null."""
        if name not in self._given:
            return self.definition(library.defaults[name]) if name in library.defaults else None
        key = (library.id, name)
        if key not in self._parameters:
            self._parameters[key] = read_parameter(self._given[name], library.parameters[name], self.home)
        return self._parameters[key]

    def resources(self, kind: str) -> list[Node]:
        """Return the patient's resources of a type; UnknownData where it is not known which ones there are."""
        if kind in self._unknown:
            raise UnknownData(kind)
        collected = self._nodes.get(kind, [])
        spend(len(collected) // 8 + 1)
        return collected

    def value_set(self, url: str | None) -> ValueSet:
        """Return the members of a value set; CqlError where it is not there."""
        members = self._value_sets.get(str(url), self._value_sets.get(str(url).partition("|")[0]))
        if members is None:
            raise CqlError(f"The value set {url} is missing.")
        return members

    def run(self, body: Body) -> Value:
        """Return the value of a definition.

        Raises:
            CqlError: the evaluation ended without a value, as the language asks or at a limit.
            NotSupported: the definition holds something that is not run.
        """
        frames = sys.getrecursionlimit()  # put back afterwards: readers of JSON refuse by it what is nested too deeply
        sys.setrecursionlimit(max(frames, _MOST_FRAMES))
        try:
            body.compile()
            with self.budget:
                return self.definition(body)
        except (RecursionError, MemoryError) as error:
            raise LimitExceeded("The evaluation needed more depth or memory than there is.") from error
        except (TypeError, ValueError, AttributeError, ArithmeticError, LookupError) as error:
            raise CqlError(
                f"An operand does not have the type that its operator takes ({type(error).__name__})."
            ) from error
        finally:
            sys.setrecursionlimit(frames)
