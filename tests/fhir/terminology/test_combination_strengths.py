"""Strengths of combination products: whatever way a product is written, each strength goes to its own ingredient."""

from collections.abc import Iterator
from itertools import islice, permutations

import pytest

from fhir.terminology.combination_products import COMBINATION_PRODUCTS, least_shares, shares_of_sum
from fhir.terminology.medication_names import read_name
from fhir.terminology.medication_strength import read_strengths
from fhir.terminology.medications import (
    INGREDIENT_BY_NAME,
    INGREDIENTS,
    rxnorm_entry,
    rxnorm_names,
    table_rows,
)
from tests.each import for_rows

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


def test_no_two_ways_of_reading_a_product_are_both_sold() -> None:
    for products in COMBINATION_PRODUCTS.values():
        for product in products:
            assert len(set(permutations(product)) & products) == 1


def _listed() -> set[tuple[tuple[str, ...], tuple[float, ...]]]:
    return {
        (codes, tuple(one.amount for one in product))
        for codes, products in COMBINATION_PRODUCTS.items()
        for product in products
    }


def _of_rxnorm_names() -> set[tuple[tuple[str, ...], tuple[float, ...]]]:
    derived = set()
    for _, name in rxnorm_names():
        reading = read_name(name)
        pairs = sorted(
            (each.rxcui, strength)
            for each, strength in zip(reading.ingredients, reading.strengths, strict=True)
            if strength is not None
        )
        if 1 < len(pairs) == len(name.split(" / ")) == len(reading.ingredients):
            derived.add((tuple(code for code, _ in pairs), tuple(round(one.amount, 4) for _, one in pairs)))
    return derived


def test_the_table_holds_every_combination_of_the_rxnorm_names() -> None:
    assert _of_rxnorm_names() <= _listed()


@for_rows(
    ("words", "milligrams"),
    [
        ("Sprintec 0.25 mg-35 mcg tablet", {"ethinyl estradiol": 0.035, "norgestimate": 0.25}),
        ("norethindrone-ethinyl estradiol 1-20 mg-mcg", {"norethindrone": 1.0, "ethinyl estradiol": 0.02}),
        ("ethinyl estradiol-norethindrone 1-20 mg-mcg", {"norethindrone": 1.0, "ethinyl estradiol": 0.02}),
        ("Loestrin 1/20", {"norethindrone": 1.0, "ethinyl estradiol": 0.02}),
        ("Junel FE 1.5/30", {"norethindrone": 1.5, "ethinyl estradiol": 0.03, "ferrous fumarate": None}),
        ("Advair Diskus 250-50 mcg/dose", {"fluticasone": 0.25, "salmeterol": 0.05}),
        ("Tri-Sprintec 0.18/0.215/0.25 mg-35 mcg", {"ethinyl estradiol": None, "norgestimate": None}),
        ("Percocet 5-325 mg tablet", {"oxycodone": 5.0, "acetaminophen": 325.0}),
        ("Percocet 5/325", {"oxycodone": 5.0, "acetaminophen": 325.0}),
        ("Norco 10-325", {"hydrocodone": 10.0, "acetaminophen": 325.0}),
        ("Percocet 5mg-325", {"oxycodone": 5.0, "acetaminophen": 325.0}),
        ("acetaminophen-oxycodone 5-325 mg", {"oxycodone": 5.0, "acetaminophen": 325.0}),
        ("Percocet 5-325 mg (oxycodone 5 mg/acetaminophen 325 mg)", {"oxycodone": 5.0, "acetaminophen": 325.0}),
        # No longer sold, but each number can only be that of one ingredient.
        ("Vicodin ES 7.5-750 mg", {"hydrocodone": 7.5, "acetaminophen": 750.0}),
        ("Lortab 7.5-500 mg", {"hydrocodone": 7.5, "acetaminophen": 500.0}),
        ("Augmentin 400-57 mg/5 mL", {"amoxicillin": 80.0, "clavulanate": 11.4}),
        ("Janumet XR 50-1,000 mg", {"sitagliptin": 50.0, "metformin": 1000.0}),
        ("Fioricet 50-300-40 mg", {"butalbital": 50.0, "acetaminophen": 300.0, "caffeine": 40.0}),
        # Numbers that are no strength of it: a date, tablets, one of two parts, what is not sold.
        ("Percocet 5/12", {"oxycodone": None, "acetaminophen": None}),
        ("Percocet 1-2 tablets", {"oxycodone": None, "acetaminophen": None}),
        ("Percocet 10 mg", {"oxycodone": None, "acetaminophen": None}),
        ("Percocet 5-5 mg", {"oxycodone": None, "acetaminophen": None}),
        ("Suboxone 1/2 film", {"buprenorphine": None, "naloxone": None}),
        # Both are sold by the actuation: one of them per millilitre is no product.
        ("budesonide formoterol 160 mcg-4.5 mcg/mL", {"budesonide": None, "formoterol": None}),
    ],
)
def test_a_strength_is_given_to_its_ingredient_or_to_none(words: str, milligrams: dict[str, float | None]) -> None:
    reading = read_name(words)
    assert {
        each.name: strength.milligrams if strength else None
        for each, strength in zip(reading.ingredients, reading.strengths, strict=True)
    } == milligrams


def test_units_have_no_share_of_a_mass() -> None:
    names = ("insulin glargine", "lixisenatide"), ("sulfamethoxazole", "trimethoprim")
    shares = [least_shares([INGREDIENT_BY_NAME[name] for name in product]) for product in names]
    assert shares == [(), (pytest.approx(5 / 6), pytest.approx(1 / 6))]
    # A product with units beside its mass is none of that sum, and hinders no other one of the same ingredients.
    assert shares_of_sum([INGREDIENTS[code] for code in ("11256", "21406", "42955")], 280.0) == ()
    assert shares_of_sum([INGREDIENTS[code] for code in ("2418", "42781")], 0.305) == (0.125, 0.18)


def test_a_strength_that_a_name_says_is_that_of_the_rxnorm_product_named_beside_it() -> None:
    for row in table_rows("named_strengths.csv"):
        if "RxNorm" not in row["source"]:
            continue  # syringes of Europe, which RxNorm names by their concentration
        entry = rxnorm_entry(row["source"].rpartition(" ")[2])
        assert entry is not None, row
        of_product = sorted(strength.amount for strength in read_strengths(entry.name))
        of_row = [read_strengths(text)[0].amount for text in row["strengths"].split(";")]
        assert sorted(of_row) == of_product, row
