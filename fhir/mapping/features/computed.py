"""Features that a site declares over other features: bands, the first that applies, a formula, missingness."""

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

from fhir.mapping.features.feature import Feature, FeatureValue, Missing, charted_number
from fhir.record.record import PatientRecord

FEATURES: tuple[Feature, ...] = ()

_MOST_PARTS: Final = 60
_OPERATORS: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS: Final[Mapping[str, tuple[int, Callable[..., float]]]] = {
    "log": (1, math.log),
    "sqrt": (1, math.sqrt),
    "abs": (1, abs),
    "min": (2, min),
    "max": (2, max),
}


@dataclass(frozen=True, eq=False)
class Computed(Feature):
    """A feature of other features, which it names in `inputs`."""

    inputs: tuple[Feature, ...] = ()

    @property
    def analytes(self) -> tuple[str, ...]:
        """Those of its inputs."""
        return tuple(dict.fromkeys(analyte for feature in self.inputs for analyte in feature.analytes))

    @property
    def resources(self) -> frozenset[str]:
        """Those of its inputs."""
        return frozenset().union(*(feature.resources for feature in self.inputs))

    @property
    def codes(self) -> tuple[str, ...]:
        """The names of its inputs."""
        return tuple(feature.name for feature in self.inputs)

    def show(self, feature_value: FeatureValue) -> str:
        """Return the value in words with the values that made it."""
        return feature_value.charted_unit

    def without(self, gap: Missing) -> Missing:
        """Missing for the reason for which an input is."""
        return Missing(self, gap.reason, f"{self.words}: {gap.text}", gap.implausible, gap.refusal)

    def from_value(self, value: float, words: str, of: FeatureValue) -> FeatureValue:
        """Return a value that rests on one of an input."""
        return FeatureValue(self, value, of.effective, of.source, of.code, value, words)


@dataclass(frozen=True, eq=False)
class Band(Computed):
    """In which band the input lies: 0 below the first limit, 1 from it on, and so forth; `choices` name the bands."""

    limits: tuple[float, ...] = ()

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the band with the value; missing where the input is."""
        value = self.inputs[0].read(record)
        if isinstance(value, Missing):
            return self.without(value)
        position = sum(value.value >= limit for limit in self.limits)
        return self.from_value(float(position), f"{self.choices[position]} ({self.inputs[0].show(value)})", value)


@dataclass(frozen=True, eq=False)
class FirstOf(Computed):
    """Which of several yes-or-no features is the first yes: 0 for none of them, else its place, from 1."""

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the first yes with its words; missing where an earlier one is not known."""
        for position, feature in enumerate(self.inputs, 1):
            value = feature.read(record)
            if isinstance(value, Missing):
                return self.without(value)
            if value.value:
                return self.from_value(float(position), feature.words, value)
        return self.of_chart(record, 0.0, self.choices[0])


@dataclass(frozen=True, eq=False)
class IsMissing(Computed):
    """1 where the input is missing, else 0: a model may learn from what was not measured."""

    is_yes_no: ClassVar[bool] = True

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Whether it is missing; missing itself where the chart was not asked for it."""
        value = self.inputs[0].read(record)
        if isinstance(value, Missing):
            return self.without(value) if value.reason == "unknown" else self.of_chart(record, 1.0, "yes")
        return self.from_value(0.0, "no", value)


@dataclass(frozen=True, eq=False)
class Formula(Computed):
    """A formula of its inputs: numbers, + - * /, log, sqrt, abs, min and max."""

    formula: str = ""

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the value with those of its inputs; missing where one is, refused where nothing can be computed."""
        values: dict[str, FeatureValue] = {}
        for feature in self.inputs:
            value = feature.read(record)
            if isinstance(value, Missing):
                return self.without(value)
            values[feature.name] = value
        shown = ", ".join(f"{feature.words} {feature.show(values[feature.name])}" for feature in self.inputs)
        try:
            result = _evaluate(self._expression, {name: value.value for name, value in values.items()})
        except (ZeroDivisionError, ValueError, OverflowError):
            result = math.nan
        if not self.plausible_low <= result <= self.plausible_high:
            return Missing(self, "refused", f"{self.words}: cannot be computed from {shown}.", implausible=True)
        newest = max(values.values(), key=lambda value: value.effective)
        unit = "" if self.unit == "1" else f" {self.unit}"
        return self.from_value(result, f"{charted_number(result)}{unit} ({shown})", newest)

    @property
    def source_words(self) -> str:
        """The formula."""
        return self.formula

    @cached_property
    def _expression(self) -> ast.expr:
        return ast.parse(self.formula, mode="eval").body


def names_in(formula: str) -> tuple[str, ...]:
    """Return the features that a formula names.

    Raises:
        ValueError: It is no formula, is too long, or has something that a formula may not have.
    """
    try:
        expression = ast.parse(formula, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{formula!r} is no formula") from error
    nodes = list(ast.walk(expression))
    if len(nodes) > _MOST_PARTS:
        raise ValueError(f"the formula has {len(nodes)} parts; {_MOST_PARTS} are the most")
    if fault := next(_faults(nodes), None):
        raise ValueError(f"a formula has numbers, features, + - * / and {', '.join(_FUNCTIONS)}; it has {fault}")
    functions = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    names = (node.id for node in nodes if isinstance(node, ast.Name))
    return tuple(dict.fromkeys(name for name in names if name not in functions))


def _faults(nodes: list[ast.AST]) -> Iterator[str]:
    allowed = (ast.BinOp, ast.UnaryOp, ast.USub, ast.Load, ast.Name, *_OPERATORS)
    for node in nodes:
        if isinstance(node, ast.Constant):
            if type(node.value) not in (int, float):
                yield repr(node.value)
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
            if name not in _FUNCTIONS or node.keywords or len(node.args) != _FUNCTIONS[name][0]:
                yield f"{name}() with {len(node.args)} values"
        elif not isinstance(node, allowed):
            yield type(node).__name__


def _evaluate(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(operand=operand):
            return -_evaluate(operand, values)
        case ast.BinOp(left=left, op=sign, right=right):
            return _OPERATORS[type(sign)](_evaluate(left, values), _evaluate(right, values))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return float(_FUNCTIONS[name][1](*(_evaluate(argument, values) for argument in arguments)))
    raise ValueError(ast.dump(node))
