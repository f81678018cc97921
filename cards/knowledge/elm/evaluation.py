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


class Chart:
    """The resources of one patient by type; the elements that were read are kept for the next evaluation."""

    def __init__(self, resources: Iterable[Mapping[str, Any]], home: int, unknown: Iterable[str] = ()) -> None:
        self.home = home
        self.unknown = frozenset(unknown)
        self._nodes: dict[str, list[Node]] = {}
        for resource in resources:
            kind = resource.get("resourceType")
            if isinstance(kind, str):
                self._nodes.setdefault(kind, []).append(Node(kind, resource, home))

    def of_type(self, kind: str) -> list[Node]:
        """Return the resources of a type; UnknownData where it is not known which ones the patient has."""
        if kind in self.unknown:
            raise UnknownData(kind)
        return self._nodes.get(kind, [])


class Evaluation:
    """One evaluation: the patient's data, the instant, the parameters, and what was computed so far."""

    def __init__(
        self, chart: Chart, value_sets: Mapping[str, ValueSet], now: Temporal, parameters: Mapping[str, Any]
    ) -> None:
        self.now = now
        self.home = chart.home
        self.values: dict[Body, Value] = {}
        self.retrieved: dict[Closure, list[Node]] = {}
        self.budget = Budget()
        self._chart = chart
        self._value_sets = value_sets
        self._given = parameters
        self._parameters: dict[tuple[str, str], Value] = {}

    def definition(self, body: Body) -> Value:
        """Return the value of a definition, computed once; what is fixed once for all evaluations."""
        known = body.library.fixed if body.is_fixed else self.values
        if body not in known:
            known[body] = body.evaluate(self)
        return known[body]

    def parameter(self, library: Library, name: str) -> Value:
        """Return the value of a parameter: as given, else its default, else null."""
        if name not in self._given:
            return self.definition(library.defaults[name]) if name in library.defaults else None
        key = (library.id, name)
        if key not in self._parameters:
            self._parameters[key] = read_parameter(self._given[name], library.parameters[name], self.home)
        return self._parameters[key]

    def resources(self, kind: str) -> list[Node]:
        """Return the patient's resources of a type."""
        collected = self._chart.of_type(kind)
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


def read_instant(text: str) -> tuple[Temporal, int]:
    """Return an instant as `Now()` gives it and its time zone offset in minutes; CqlError where it is not ISO."""
    zone = read_temporal(text, "DateTime")
    if zone is None:
        raise CqlError("`now` must be an ISO 8601 date or date-time.")
    return Temporal("DateTime", zone.lowest().parts, zone.offset, zone.offset), zone.offset
