"""Strengths of combination products: whatever way a product is written, each strength goes to its own ingredient."""

from collections.abc import Iterator
from itertools import islice

import pytest

from fhir.terminology.combination_products import COMBINATION_PRODUCTS
from fhir.terminology.medication_names import read_name
from fhir.terminology.medications import (
    INGREDIENTS,
    table_rows,
)

# Where the sum of two salts, or a part that is not a known ingredient, stands in the name, the way of writing is open.
WAYS_WITH_UNIT = ("{name} {hyphen} mg", "{name} {slash} mg tablet", "{name} {each_hyphen}", "{name} {each_slash} Tab")
EVERY = pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
"""How many of the products: each fourth, and in the slow tier each."""
WAYS_WITHOUT_UNIT = ("{name} {hyphen}", "{name} {slash} tablet", "{name} ({hyphen})", "{name} {hyphen} 1-2 tabs po q6h")


def _read(words: str) -> dict[str, float | None]:
    reading = read_name(words)
    return {
        each.rxcui: round(strength.amount, 4) if strength else None
        for each, strength in zip(reading.ingredients, reading.strengths, strict=True)
    }


def _written(name: str, amounts: tuple[float, ...]) -> Iterator[str]:
    texts = [f"{amount:,g}" for amount in amounts]
    lists = {
        "hyphen": "-".join(texts),
        "slash": "/".join(texts),
        "each_hyphen": "-".join(f"{text} mg" for text in texts),
        "each_slash": " mg/".join(texts) + "mg",
    }
    for way in (*WAYS_WITH_UNIT, *WAYS_WITHOUT_UNIT):
        yield way.format(name=name, **lists)


def _tablets() -> Iterator[tuple[tuple[str, ...], tuple[float, ...]]]:
    for codes, products in sorted(COMBINATION_PRODUCTS.items()):
        for product in sorted(products, key=repr):
            if all((one.unit, one.per) == ("mg", "unit") for one in product):
                yield codes, tuple(one.amount for one in product)


@EVERY
def test_every_combination_is_read_in_every_way_of_writing_it(every: int) -> None:
    known = INGREDIENTS
    wrong = []
    for codes, amounts in islice(_tablets(), 0, None, every):
        pairs = list(zip(codes, amounts, strict=True))
        # The label's order, its reverse, and names and numbers in opposite orders.
        for order in (pairs, pairs[::-1]):
            name = "-".join(known[code].name for code, _ in order)
            for written in (order, order[::-1]):
                ways = _written(name, tuple(amount for _, amount in written))
                wrong += [(words, _read(words)) for words in ways if _read(words) != dict(pairs)]
    assert not wrong, f"{len(wrong)} read wrongly: {wrong[:5]}"


@EVERY
def test_every_combination_brand_is_read_in_every_way_of_writing_it(every: int) -> None:
    known = {ingredient.name: code for code, ingredient in INGREDIENTS.items()}
    tablets: dict[tuple[str, ...], list[tuple[float, ...]]] = {}
    for codes, amounts in _tablets():
        tablets.setdefault(codes, []).append(amounts)
    wrong, brands = [], 0
    for number, row in enumerate(table_rows("aliases.csv")):
        codes = tuple(sorted(known[name] for name in row["ingredients"].split(";") if name))
        brands += codes in tablets
        if number % every:
            continue
        for amounts in tablets.get(codes, ()):
            right = dict(zip(codes, amounts, strict=True))
            for written in {amounts, amounts[::-1]}:
                ways = _written(row["text"].title(), written)
                wrong += [(words, _read(words)) for words in ways if _read(words) != right]
    assert brands > 100
    assert not wrong, f"{len(wrong)} read wrongly: {wrong[:5]}"
