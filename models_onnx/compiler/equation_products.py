"""Sums of products in a graph: every input's Shapley share against one reference, for all choices at once."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from models_onnx.calculation.declaration import Equation
from models_onnx.calculation.linear import Chosen, Linear
from models_onnx.calculation.terms import Factor
from models_onnx.compiler.graph import DOUBLE, Graph

_ONE = Factor("", scale=1.0)  # stands where a product has fewer than three factors


class Products:
    """The shares of sums of products, for every choice of coefficients at once."""

    def __init__(self, equation: Equation, linear: Linear) -> None:
        self.linear = linear
        self.names = [item.name for item in equation.inputs]
        self.sets = [self._set_of(choice) for choice in product(*(equation.input(name).choices for name in linear.by))]
        self.sizes = [len(equation.input(name).choices) for name in linear.by]
        self.terms = list(dict.fromkeys(term.factors for chosen in self.sets for term in chosen.terms))
        self.factors = [_ONE, *dict.fromkeys(factor for term in self.terms for factor in term)]
        # One share for each input of each term: the input's factor first, then the others.
        self.shares = [
            (place, own, [each for each in factors if each is not own])
            for place, factors in enumerate(self.terms)
            for own in factors
        ]

    def write(self, graph: Graph, features: str) -> str:
        """The contributions [N, inputs]; those of an input that no term has are 0."""
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

    def _set_of(self, choice: tuple[str, ...]) -> Chosen:
        return self.linear.chosen(dict(zip(self.linear.by, choice, strict=True)))

    def _column(self, name: str) -> int:
        return self.names.index(self.linear.aliases.get(name, name))

    def _write_choice(self, graph: Graph, features: str) -> str:
        """Which set of coefficients a row has, as ones and zeros [N, sets]; a choice that is missing has none."""
        columns = graph.constant("choice_columns", [self.names.index(name) for name in self.linear.by], np.int64)
        picked = graph.node("Gather", [features, columns], "picked", axis=1)
        strides = [int(np.prod(self.sizes[place + 1 :])) for place in range(len(self.sizes))]
        stride = graph.constant("strides", np.array(strides, dtype=np.float64)[:, None], np.float64)
        number = graph.node("MatMul", [picked, stride], "set_number")
        numbers = graph.constant("set_numbers", np.arange(len(self.sets), dtype=np.float64)[None, :], np.float64)
        return graph.node("Cast", [graph.node("Equal", [number, numbers], "is_set")], "chosen", to=DOUBLE)

    def _write_factors(self, graph: Graph, features: str) -> str:
        """The functions of the inputs [N, factors]; what is not needed and not given counts as the reference."""
        reference = graph.constant("reference_inputs", self._reference_inputs(), np.float64)
        given = graph.node("Where", [graph.node("IsNaN", [features], "absent"), reference, features], "filled")
        columns = [0 if factor is _ONE else self._column(factor.input) for factor in self.factors]
        spread = graph.node("Gather", [given, graph.constant("factor_columns", columns, np.int64)], "spread", axis=1)
        low = [-np.inf if factor.low is None else factor.low for factor in self.factors]
        high = [np.inf if factor.high is None else factor.high for factor in self.factors]
        limited = graph.node("Max", [spread, graph.constant("factor_low", low, np.float64)], "not_below")
        limited = graph.node("Min", [limited, graph.constant("factor_high", high, np.float64)], "limited")
        scaled = self._write_scaled(graph, limited)
        squares = graph.node("Mul", [scaled, scaled], "squares")
        is_square = graph.constant("is_square", [factor.squared for factor in self.factors], np.bool_)
        made = graph.node("Where", [is_square, squares, scaled], "functions")
        is_one = graph.constant("is_one", [factor is _ONE for factor in self.factors], np.bool_)
        return graph.node("Where", [is_one, graph.constant("one", 1.0, np.float64), made], "factors")

    def _write_scaled(self, graph: Graph, limited: str) -> str:
        tiny = graph.constant("tiny", np.finfo(np.float64).tiny, np.float64)
        logarithm = graph.node("Log", [graph.node("Max", [limited, tiny], "positive")], "logarithm")
        is_ln = graph.constant("is_ln", [factor.ln for factor in self.factors], np.bool_)
        number = graph.node("Where", [is_ln, logarithm, limited], "before_scaling")
        centre = graph.constant("factor_centre", [factor.centre for factor in self.factors], np.float64)
        scale = graph.constant("factor_scale", [factor.scale for factor in self.factors], np.float64)
        return graph.node("Div", [graph.node("Sub", [number, centre], "centred"), scale], "scaled")

    def _write_shares(self, graph: Graph, factors: str, coefficients: str) -> str:
        """(A - a) (2BC + Bc + bC + 2bc) / 6: Shapley's share of a product of three against one reference; B and C are
        1 where there are fewer. Capitals are this person's, small letters the reference's."""
        place = {factor: number for number, factor in enumerate(self.factors)}
        reference = np.array([1.0 if each is _ONE else each.of(self._of_reference(each)) for each in self.factors])
        own = [place[factor] for _, factor, _ in self.shares]
        others = [[*(place[each] for each in rest), 0, 0][:2] for _, _, rest in self.shares]
        gathered = [
            graph.node("Gather", [factors, graph.constant(f"at_{name}", at, np.int64)], f"factor_{name}", axis=1)
            for name, at in (("a", own), ("b", [one for one, _ in others]), ("c", [two for _, two in others]))
        ]
        a, b, c = gathered
        ref_b, ref_c = (reference[[pair[number] for pair in others]] for number in (0, 1))
        difference = graph.node("Sub", [a, graph.constant("reference_a", reference[own], np.float64)], "difference")
        both = graph.node("Mul", [graph.node("Mul", [b, c], "bc"), graph.constant("third", 1 / 3, np.float64)], "both")
        one = graph.node("Mul", [b, graph.constant("ref_c", ref_c / 6, np.float64)], "b_alone")
        two = graph.node("Mul", [c, graph.constant("ref_b", ref_b / 6, np.float64)], "c_alone")
        none = graph.constant("ref_bc", ref_b * ref_c / 3, np.float64)
        weight = graph.node(
            "Add", [graph.node("Add", [both, one], "w1"), graph.node("Add", [two, none], "w2")], "weight"
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
