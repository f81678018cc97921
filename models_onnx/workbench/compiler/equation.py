"""Compiles published equations to self-explaining ONNX files with the same outputs as our models.

An equation is a sum of products or a sum of points. In a sum of products, every input's Shapley share against one
reference is computed for all choices at once.

The file's input `features` is float64 [N, inputs] in the order of the equation: yes is 1, the first of a list of
choices is 0, NaN is missing. A row with a missing or out-of-range input has no value (NaN); values are never clamped.
`verify_equation` verifies the file.
"""

import json
from itertools import product

import numpy as np
from numpy.typing import NDArray
from onnx import checker

from models_onnx.equations.arithmetic import CoefficientSet, Factor, Linear, Link, ScoreItem
from models_onnx.equations.calculate import calculate
from models_onnx.equations.card import source_attributes
from models_onnx.equations.compiled import CompiledEquation
from models_onnx.equations.declaration import Equation, EquationInput
from models_onnx.errors import CompileRefused, EquationRefused
from models_onnx.workbench.compiler.graph import BOOL, DOUBLE, SECOND_AXIS, Graph

_ONE = Factor("", scale=1.0)  # used where a product has fewer than three factors


class Products:
    """The Shapley shares of sums of products, for every choice of coefficients at once."""

    def __init__(self, equation: Equation, linear: Linear) -> None:
        self.linear = linear
        self.names = [item.name for item in equation.inputs]
        self.sets = [self._set_of(choice) for choice in product(*(equation.input(name).choices for name in linear.by))]
        self.sizes = [len(equation.input(name).choices) for name in linear.by]
        self.terms = list(dict.fromkeys(term.factors for chosen in self.sets for term in chosen.terms))
        self.factors = [_ONE, *dict.fromkeys(factor for term in self.terms for factor in term)]
        # One share for each input of each term: the input's factor first, then the others.
        self.shares = [
            (term_number, first, [factor for factor in factors if factor is not first])
            for term_number, factors in enumerate(self.terms)
            for first in factors
        ]

    def write(self, graph: Graph, features: str) -> str:
        """Writes the contributions [N, inputs]; an input without a term contributes 0."""
        chosen = self._write_choice(graph, features)
        factors = self._write_factors(graph, features)
        coefficients = graph.node(
            "MatMul", [chosen, graph.constant("coefficients", self._coefficients(), np.float64)], "coefficients_of_row"
        )
        shares = self._write_shares(graph, factors, coefficients)
        scattered = graph.node("MatMul", [shares, graph.constant("scatter", self._scatter(), np.float64)], "summed")
        by_choice = graph.node(
            "MatMul", [chosen, graph.constant("choices", self._by_choice(), np.float64)], "by_choice"
        )
        return graph.node("Add", [scattered, by_choice], "contributions")

    def _set_of(self, choice: tuple[str, ...]) -> CoefficientSet:
        return self.linear.chosen(dict(zip(self.linear.by, choice, strict=True)))

    def _column(self, name: str) -> int:
        return self.names.index(self.linear.aliases.get(name, name))

    def _write_choice(self, graph: Graph, features: str) -> str:
        """Writes which set of coefficients a row uses, as ones and zeros [N, sets].

        A row with a missing choice uses none.
        """
        columns = graph.constant("choice_columns", [self.names.index(name) for name in self.linear.by], np.int64)
        picked = graph.node("Gather", [features, columns], "picked", axis=1)
        strides = [int(np.prod(self.sizes[position + 1 :])) for position in range(len(self.sizes))]
        stride = graph.constant("strides", np.array(strides, dtype=np.float64)[:, None], np.float64)
        number = graph.node("MatMul", [picked, stride], "set_number")
        numbers = graph.constant("set_numbers", np.arange(len(self.sets), dtype=np.float64)[None, :], np.float64)
        return graph.node("Cast", [graph.node("Equal", [number, numbers], "is_set")], "chosen", to=DOUBLE)

    def _write_factors(self, graph: Graph, features: str) -> str:
        """Writes the functions of the inputs [N, factors].

        A missing input that is not required has the reference's value.
        """
        reference = graph.constant("reference_inputs", self._reference_inputs(), np.float64)
        filled = graph.node("Where", [graph.node("IsNaN", [features], "absent"), reference, features], "filled")
        columns = [0 if factor is _ONE else self._column(factor.input) for factor in self.factors]
        spread = graph.node("Gather", [filled, graph.constant("factor_columns", columns, np.int64)], "spread", axis=1)
        low = [-np.inf if factor.low is None else factor.low for factor in self.factors]
        high = [np.inf if factor.high is None else factor.high for factor in self.factors]
        limited = graph.node("Max", [spread, graph.constant("factor_low", low, np.float64)], "not_below")
        limited = graph.node("Min", [limited, graph.constant("factor_high", high, np.float64)], "limited")
        scaled = self._write_scaled(graph, limited)
        squares = graph.node("Mul", [scaled, scaled], "squares")
        is_square = graph.constant("is_square", [factor.squared for factor in self.factors], np.bool_)
        functions = graph.node("Where", [is_square, squares, scaled], "functions")
        is_one = graph.constant("is_one", [factor is _ONE for factor in self.factors], np.bool_)
        return graph.node("Where", [is_one, graph.constant("one", 1.0, np.float64), functions], "factors")

    def _write_scaled(self, graph: Graph, limited: str) -> str:
        tiny = graph.constant("tiny", np.finfo(np.float64).tiny, np.float64)
        logarithm = graph.node("Log", [graph.node("Max", [limited, tiny], "positive")], "logarithm")
        is_ln = graph.constant("is_ln", [factor.ln for factor in self.factors], np.bool_)
        number = graph.node("Where", [is_ln, logarithm, limited], "before_scaling")
        centre = graph.constant("factor_centre", [factor.centre for factor in self.factors], np.float64)
        scale = graph.constant("factor_scale", [factor.scale for factor in self.factors], np.float64)
        return graph.node("Div", [graph.node("Sub", [number, centre], "centred"), scale], "scaled")

    def _write_shares(self, graph: Graph, factors: str, coefficients: str) -> str:
        """Writes the Shapley share of a product of three against one reference: (A - a) (2BC + Bc + bC + 2bc) / 6.

        B and C are 1 where there are fewer factors. Capital letters are this person's values, small letters the
        reference's.
        """
        number_of = {factor: number for number, factor in enumerate(self.factors)}
        reference = np.array(
            [1.0 if factor is _ONE else factor.of(self._of_reference(factor)) for factor in self.factors]
        )
        first_numbers = [number_of[factor] for _, factor, _ in self.shares]
        other_numbers = [
            [*(number_of[factor] for factor in other_factors), 0, 0][:2] for _, _, other_factors in self.shares
        ]
        gathered = [
            graph.node("Gather", [factors, graph.constant(f"at_{name}", at, np.int64)], f"factor_{name}", axis=1)
            for name, at in (
                ("a", first_numbers),
                ("b", [first_other for first_other, _ in other_numbers]),
                ("c", [two for _, two in other_numbers]),
            )
        ]
        a, b, c = gathered
        ref_b, ref_c = (reference[[pair[number] for pair in other_numbers]] for number in (0, 1))
        difference = graph.node(
            "Sub", [a, graph.constant("reference_a", reference[first_numbers], np.float64)], "difference"
        )
        both = graph.node("Mul", [graph.node("Mul", [b, c], "bc"), graph.constant("third", 1 / 3, np.float64)], "both")
        b_share = graph.node("Mul", [b, graph.constant("ref_c", ref_c / 6, np.float64)], "b_alone")
        two = graph.node("Mul", [c, graph.constant("ref_b", ref_b / 6, np.float64)], "c_alone")
        none = graph.constant("ref_bc", ref_b * ref_c / 3, np.float64)
        weight = graph.node(
            "Add", [graph.node("Add", [both, b_share], "w1"), graph.node("Add", [two, none], "w2")], "weight"
        )
        of_term = graph.constant("term_of_share", [term for term, _, _ in self.shares], np.int64)
        coefficient = graph.node("Gather", [coefficients, of_term], "coefficient_of_share", axis=1)
        return graph.node("Mul", [graph.node("Mul", [difference, weight], "product_share"), coefficient], "shares")

    def _coefficients(self) -> NDArray[np.float64]:
        table = np.zeros((len(self.sets), len(self.terms)))
        for row, chosen in enumerate(self.sets):
            for term in chosen.terms:
                table[row, self.terms.index(term.factors)] += term.coefficient
        return table

    def _scatter(self) -> NDArray[np.float64]:
        table = np.zeros((len(self.shares), len(self.names)))
        for row, (_, factor, _) in enumerate(self.shares):
            table[row, self._column(factor.input)] = 1.0
        return table

    def _by_choice(self) -> NDArray[np.float64]:
        table = np.zeros((len(self.sets), len(self.names)))
        for row, chosen in enumerate(self.sets):
            for part in self.linear.choices(chosen.choice):
                table[row, self.names.index(part.input)] = part.contribution
        return table

    def _of_reference(self, factor: Factor) -> float:
        value = self.linear.reference[factor.input]
        return float(value) if not isinstance(value, str) else 0.0

    def _reference_inputs(self) -> NDArray[np.float64]:
        filled = np.zeros(len(self.names))
        for name, value in self.linear.reference.items():
            if not isinstance(value, str):
                filled[self._column(name)] = float(value)
        return filled


TOLERANCE = 1e-5
LEAST_ROWS = 1000


def compile_equation(equation: Equation, output: str) -> bytes:
    """Returns the file of one output of the equation.

    Raises:
        CompileRefused: the output is neither a sum of products nor a sum of points.
    """
    graph = Graph()
    count = len(equation.inputs)
    features = graph.input("features", DOUBLE, ["N", count])
    missing, out = _write_masks(graph, equation, output, features)
    if output in equation.linear:
        linear = equation.linear[output]
        base, link = linear.base, linear.link
        contributions = Products(equation, linear).write(graph, features)
    elif equation.items:
        base, link = 0.0, "identity"
        contributions = _write_points(graph, equation, features)
    else:
        raise CompileRefused(f"{equation.id} {output} is neither linear nor a sum of points: it is not compiled")
    _write_value(graph, equation, output, contributions, base, link, missing, out)
    proto = graph.model(f"{equation.id}|{output}", _metadata(equation, output, base, link))
    checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def verify_equation(equation: Equation, output: str, content: bytes, seed: int = 20260101) -> float:
    """The largest difference to the equation's own arithmetic, in value and contributions, for 1,000 people in range.

    Raises:
        CompileRefused: it is above 1e-5, or a person that the equation refuses gets a value.
    """
    model, rng = CompiledEquation(content), np.random.default_rng(seed)
    rows = _people(equation, rng)
    computed = model.rows(rows)
    worst = 0.0
    for row, value, parts in zip(rows, computed.value, computed.contributions, strict=True):
        try:
            expected = calculate(equation, model.values_of(row), output).working
        except EquationRefused:
            worst = worst if np.isnan(value) else np.inf
            continue
        parts_of_equation = {part.input: part.contribution for part in expected.contributions}
        gaps = [
            abs(part - parts_of_equation.get(item.name, 0.0)) for item, part in zip(equation.inputs, parts, strict=True)
        ]
        worst = max(worst, abs(value - float(expected.value)), *gaps)
    worst = worst if _refuses_what_is_missing(equation, output, model, rows[0]) else np.inf
    if not worst <= TOLERANCE:
        raise CompileRefused(f"{equation.id} {output} differs from its own arithmetic by up to {worst:.2e}")
    return worst


def _refuses_what_is_missing(
    equation: Equation, output: str, model: CompiledEquation, sound: NDArray[np.float64]
) -> bool:
    rows = np.tile(sound, (len(equation.inputs), 1))
    np.fill_diagonal(rows, np.nan)
    needed = np.array([item.is_needed_for(output) for item in equation.inputs])
    return bool(np.isnan(model.rows(rows).value[needed]).all())


def _people(equation: Equation, rng: np.random.Generator) -> NDArray[np.float64]:
    columns = [_drawn(item, rng) for item in equation.inputs]
    rows = np.column_stack(columns)
    edges = np.array([[_edge(item, end) for item in equation.inputs] for end in (0, 1)])
    return np.vstack([rows, edges])


def _drawn(item: EquationInput, rng: np.random.Generator) -> NDArray[np.float64]:
    if item.kind == "choice":
        return rng.integers(0, len(item.choices), LEAST_ROWS).astype(np.float64)
    if item.kind == "yes-no":
        return rng.integers(0, 2, LEAST_ROWS).astype(np.float64)
    low, high = item.low or 0.0, item.high if item.high is not None else (item.low or 0.0) + 30.0
    drawn = rng.uniform(low, high, LEAST_ROWS)
    return np.floor(drawn) if item.kind == "whole" else drawn


def _edge(item: EquationInput, end: int) -> float:
    if item.kind in ("choice", "yes-no"):
        return float(end)
    return float((item.low, item.high)[end] or 0.0)


def _write_masks(graph: Graph, equation: Equation, output: str, features: str) -> tuple[str, str]:
    """Writes which inputs are missing and which are out of range.

    An input that this output does not use is never missing.
    """
    nan = graph.node("IsNaN", [features], "not_given")
    needed = graph.constant("needed", [item.is_needed_for(output) for item in equation.inputs], np.bool_)
    missing = graph.node("And", [nan, needed], "missing")
    low = [-np.inf if item.low is None else item.low for item in equation.inputs]
    high = [_highest(equation, item, output) for item in equation.inputs]
    below = graph.node("Less", [features, graph.constant("low", low, np.float64)], "below")
    above = graph.node("Greater", [features, graph.constant("high", high, np.float64)], "above")
    out = graph.node("Or", [below, above], "out_of_range")
    for name in ("missing", "out_of_range"):
        graph.output(name, BOOL, ["N", len(equation.inputs)])
    return missing, out


def _highest(equation: Equation, item: EquationInput, output: str) -> float:
    limit = np.inf if item.high is None else item.high
    narrower = (
        float(np.nextafter(narrower.limit, -np.inf)) if narrower.under else narrower.limit
        for narrower in equation.narrower
        if narrower.input == item.name and output in narrower.outputs
    )
    return min([float(limit), *narrower])


def _write_value(
    graph: Graph, equation: Equation, output: str, contributions: str, base: float, link: Link, missing: str, out: str
) -> None:
    total = graph.row_sums(contributions, len(equation.inputs), "total")
    column = graph.node("Add", [total, graph.constant("base", base, np.float64)], "margin_column")
    margin = graph.node("Squeeze", [column, SECOND_AXIS], "margin")
    graph.output("contributions", DOUBLE, ["N", len(equation.inputs)])
    graph.output("margin", DOUBLE, ["N"])
    linked = _write_link(graph, margin, link)
    refused = graph.node("Cast", [graph.node("Or", [missing, out], "refused")], "refused_number", to=DOUBLE)
    faults = graph.node(
        "Squeeze", [graph.row_sums(refused, len(equation.inputs), "faults"), SECOND_AXIS], "faults_of_row"
    )
    is_refused = graph.node("Greater", [faults, graph.constant("no_fault", 0.0, np.float64)], "is_refused")
    name = "probability" if equation.output(output).kind == "probability" else "value"
    graph.node("Where", [is_refused, graph.constant("no_value", np.nan, np.float64), linked], name)
    graph.output(name, DOUBLE, ["N"])


def _write_link(graph: Graph, margin: str, link: Link) -> str:
    if link == "logit":
        return graph.node("Sigmoid", [margin], "linked")
    if link == "cloglog":
        hazard = graph.node("Exp", [margin], "hazard")
        survival = graph.node("Exp", [graph.node("Neg", [hazard], "minus_hazard")], "survived")
        return graph.node("Sub", [graph.constant("certain", 1.0, np.float64), survival], "linked")
    return graph.node("Identity", [margin], "linked")


def _write_points(graph: Graph, equation: Equation, features: str) -> str:
    """Writes each item's points: its first value, and at each edge the change to the next."""
    names = [item.name for item in equation.inputs]
    places = [(item, edge, gain) for item in equation.items for edge, gain in _gains(item)]
    owner = graph.constant("owner", [names.index(item.input) for item, _, _ in places], np.int64)
    spread = graph.node("Gather", [features, owner], "spread", axis=1)
    # Above an edge is at the next number: one comparison for both kinds.
    edges = [np.nextafter(edge, np.inf) if item.strictly else edge for item, edge, _ in places]
    reached = graph.node("GreaterOrEqual", [spread, graph.constant("edges", edges, np.float64)], "reached")
    counted = graph.node("Cast", [reached], "counted", to=DOUBLE)
    gains = np.zeros((len(places), len(names)))
    for column, (item, _, gain) in enumerate(places):
        gains[column, names.index(item.input)] = gain
    gained = graph.node("MatMul", [counted, graph.constant("gains", gains, np.float64)], "gained")
    starts = np.zeros(len(names))
    for item in equation.items:
        starts[names.index(item.input)] = item.start
    return graph.node("Add", [gained, graph.constant("starts", starts, np.float64)], "contributions")


def _gains(item: ScoreItem) -> list[tuple[float, float]]:
    before, gains = item.start, []
    for edge, points in item.edges:
        gains.append((edge, float(points - before)))
        before = points
    return gains


def _metadata(equation: Equation, output: str, base: float, link: Link) -> dict[str, str]:
    return {
        "model_id": equation.id,
        "model_version": equation.version,
        "title": equation.title,
        "output": output,
        "output_kind": equation.output(output).kind,
        "base": repr(base),
        "link": link,
        "reference": equation.reference,
        "feature_dictionary": json.dumps([_described(item, output) for item in equation.inputs], sort_keys=True),
        "attributes": json.dumps(source_attributes(equation), sort_keys=True),
    }


def _described(item: EquationInput, output: str) -> dict[str, object]:
    return {
        "name": item.name,
        "words": item.words,
        "unit": item.unit,
        "loinc": list(item.loinc),
        "low": item.low,
        "high": item.high,
        "choices": list(item.choices) or (["no", "yes"] if item.kind == "yes-no" else []),
        "needed": item.is_needed_for(output),
    }
