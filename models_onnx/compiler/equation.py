"""Published equations to self-explaining ONNX: sums of products and points, with the same outputs as our models.

Input `features`, float64 [N, inputs] in the order of the equation; yes is 1, of a choice the first is 0, NaN is
missing. A row with a missing or out-of-range input has no value (NaN): nothing is clamped. `verify_equation` proves it.
"""

import json

import numpy as np
from numpy.typing import NDArray
from onnx import checker

from models_onnx.calculation.attributes import attributes
from models_onnx.calculation.calculate import calculate
from models_onnx.calculation.compiled import CompiledEquation
from models_onnx.calculation.declaration import Equation, Input
from models_onnx.calculation.errors import EquationRefused
from models_onnx.calculation.points import Item
from models_onnx.calculation.result import Link
from models_onnx.compiler.equation_products import Products
from models_onnx.compiler.graph import BOOL, DOUBLE, SECOND_AXIS, Graph
from models_onnx.errors import CompileRefused

TOLERANCE = 1e-5
LEAST_ROWS = 1000


def compile_equation(equation: Equation, output: str) -> bytes:
    """The file of one output; CompileRefused where it is neither linear nor nothing but points."""
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
    """The largest difference to the equation's own arithmetic, value and contributions, on 1,000 people in range.

    CompileRefused above 1e-5, or where a refused person gets a value.
    """
    model, rng = CompiledEquation(content), np.random.default_rng(seed)
    rows = _people(equation, rng)
    found = model.rows(rows)
    worst = 0.0
    for row, value, parts in zip(rows, found.value, found.contributions, strict=True):
        try:
            expected = calculate(equation, model.named(row), output).working
        except EquationRefused:
            worst = worst if np.isnan(value) else np.inf
            continue
        own = {part.input: part.contribution for part in expected.contributions}
        gaps = [abs(part - own.get(item.name, 0.0)) for item, part in zip(equation.inputs, parts, strict=True)]
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


def _drawn(item: Input, rng: np.random.Generator) -> NDArray[np.float64]:
    if item.kind == "choice":
        return rng.integers(0, len(item.choices), LEAST_ROWS).astype(np.float64)
    if item.kind == "yes-no":
        return rng.integers(0, 2, LEAST_ROWS).astype(np.float64)
    low, high = item.low or 0.0, item.high if item.high is not None else (item.low or 0.0) + 30.0
    drawn = rng.uniform(low, high, LEAST_ROWS)
    return np.floor(drawn) if item.kind == "whole" else drawn


def _edge(item: Input, end: int) -> float:
    if item.kind in ("choice", "yes-no"):
        return float(end)
    return float((item.low, item.high)[end] or 0.0)


def _write_masks(graph: Graph, equation: Equation, output: str, features: str) -> tuple[str, str]:
    """Which inputs are missing and which out of range; what this output does not need is not missing."""
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


def _highest(equation: Equation, item: Input, output: str) -> float:
    own = np.inf if item.high is None else item.high
    narrower = (
        float(np.nextafter(each.limit, -np.inf)) if each.under else each.limit
        for each in equation.narrower
        if each.input == item.name and output in each.outputs
    )
    return min([float(own), *narrower])


def _write_value(
    graph: Graph, equation: Equation, output: str, contributions: str, base: float, link: Link, missing: str, out: str
) -> None:
    total = graph.row_sums(contributions, len(equation.inputs), "total")
    column = graph.node("Add", [total, graph.constant("base", base, np.float64)], "margin_column")
    margin = graph.node("Squeeze", [column, SECOND_AXIS], "margin")
    graph.output("contributions", DOUBLE, ["N", len(equation.inputs)])
    graph.output("margin", DOUBLE, ["N"])
    given = _write_link(graph, margin, link)
    refused = graph.node("Cast", [graph.node("Or", [missing, out], "refused")], "refused_number", to=DOUBLE)
    faults = graph.node(
        "Squeeze", [graph.row_sums(refused, len(equation.inputs), "faults"), SECOND_AXIS], "faults_of_row"
    )
    is_refused = graph.node("Greater", [faults, graph.constant("no_fault", 0.0, np.float64)], "is_refused")
    name = "probability" if equation.output(output).kind == "probability" else "value"
    graph.node("Where", [is_refused, graph.constant("no_value", np.nan, np.float64), given], name)
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
    """Each item's points: its start, and at each edge the change to the points beside it."""
    names = [item.name for item in equation.inputs]
    places = [(item, edge, gain) for item in equation.items for edge, gain in _gains(item)]
    owner = graph.constant("owner", [names.index(item.input) for item, _, _ in places], np.int64)
    spread = graph.node("Gather", [features, owner], "spread", axis=1)
    # Above an edge is at the next number: one comparison for both kinds.
    edges = [np.nextafter(edge, np.inf) if item.strictly else edge for item, edge, _ in places]
    reached = graph.node("GreaterOrEqual", [spread, graph.constant("edges", edges, np.float64)], "reached")
    counted = graph.node("Cast", [reached], "counted", to=DOUBLE)
    gains = np.zeros((len(places), len(names)))
    for place, (item, _, gain) in enumerate(places):
        gains[place, names.index(item.input)] = gain
    gained = graph.node("MatMul", [counted, graph.constant("gains", gains, np.float64)], "gained")
    starts = np.zeros(len(names))
    for item in equation.items:
        starts[names.index(item.input)] = item.start
    return graph.node("Add", [gained, graph.constant("starts", starts, np.float64)], "contributions")


def _gains(item: Item) -> list[tuple[float, float]]:
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
        "attributes": json.dumps(attributes(equation), sort_keys=True),
    }


def _described(item: Input, output: str) -> dict[str, object]:
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
