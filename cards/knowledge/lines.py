"""Evaluates expressions that are given as JSON lines, for authors and for checks from outside."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from cards.knowledge.elm.clinical import ValueSet
from cards.knowledge.elm.compiling import Library, link
from cards.knowledge.elm.errors import CqlError, NotSupported
from cards.knowledge.elm.evaluation import Evaluation
from cards.knowledge.elm.limits import Budget
from cards.knowledge.elm.parameters import as_json

# what a line may hold, and the type of JSON that it must be; without `expressions` nothing is evaluated
_TYPES: Final[Mapping[str, type]] = {
    "library": dict, "libraries": list, "valuesets": dict, "expressions": list, "resources": list, "parameters": dict,
    "now": str,
}  # fmt: skip


class LineRefused(Exception):
    """A line is not one of the two forms; the sentence says what came and what is expected."""


class Session:
    """What is in force for the lines to come: a library, the libraries that it includes, and value sets."""

    def __init__(self) -> None:
        self._main: Library | None = None
        self._others: list[Library] = []
        self._value_sets: dict[str, ValueSet] = {}

    def answer(self, line: str | bytes) -> dict[str, Any] | None:
        """Return what one line of JSON asks for; None for a line that evaluates nothing.

        Raises:
            LineRefused: the line is not JSON, or not of the form that is read.
        """
        try:
            given = json.loads(line, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise LineRefused(f"A line is not JSON ({type(error).__name__}).") from error
        if not isinstance(given, dict) or not given.keys() & _TYPES.keys():
            raise LineRefused(f"A line must be a JSON object with some of {', '.join(sorted(_TYPES))}.")
        for name in _TYPES.keys() & given.keys():
            if given[name] is not None and not isinstance(given[name], _TYPES[name]):
                raise LineRefused(f"`{name}` of a line must be a JSON {_TYPES[name].__name__}.")
        try:
            self._use(given)
        except (NotSupported, KeyError, TypeError, ValueError, AttributeError) as error:
            raise LineRefused(f"The library or the value sets of a line cannot be read: {error}") from error
        return self._evaluated(given) if "expressions" in given else None

    def _use(self, given: Mapping[str, Any]) -> None:
        if "libraries" in given:
            self._others = [Library(_wrapped(elm)) for elm in given["libraries"]]
        if "library" in given:
            self._main = Library(_wrapped(given["library"]))
        if self._main is not None and given.keys() & {"library", "libraries"}:
            link([self._main, *self._others])
        if "valuesets" in given:
            self._value_sets = {
                url: ValueSet([(system, code) for system, code in value_set["codes"]])
                for url, value_set in given["valuesets"].items()
            }

    def _evaluated(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if self._main is None:
            raise LineRefused("No `library` came before the first `expressions`.")
        resources = [resource for resource in given.get("resources") or () if isinstance(resource, dict)]
        try:
            evaluation = Evaluation(resources, self._value_sets, str(given.get("now")), given.get("parameters") or {})
        except CqlError as error:
            raise LineRefused(f"{error} Nothing reads the clock.") from error
        return {"values": {str(name): _value(evaluation, self._main, str(name)) for name in given["expressions"] or ()}}


def _value(evaluation: Evaluation, library: Library, name: str) -> Any:
    evaluation.budget = Budget()  # each expression has its own
    try:
        return as_json(evaluation.run(library.definition(name)))
    except (CqlError, NotSupported) as error:
        return {"error": str(error)}
    except (RecursionError, OverflowError, ValueError) as error:
        return {"error": f"The value cannot be written as JSON ({type(error).__name__})."}


def _wrapped(elm: Any) -> Mapping[str, Any]:
    return elm if "library" in elm else {"library": elm}
