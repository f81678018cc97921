"""Which strength of a combination product belongs to which ingredient: decided by the products that exist.

"Percocet 5-325 mg" is 5 mg of oxycodone and 325 mg of acetaminophen although its table lists acetaminophen first. The
products are those of tables/combination_strengths.csv, which a test derives again from the RxNorm names in
tables/rxnorm.csv. What fits no product, or fits in two ways, has no strength: it is never guessed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Final, TypeAlias

from fhir.terminology.medication_strength import Strength, number, read_strengths
from fhir.terminology.medications import Ingredient, table_rows

# One strength for each ingredient, in the order of the RxNorm codes.
_Assigned: TypeAlias = tuple[Strength, ...]
_MOST_INGREDIENTS = 5
# A strength that is no longer sold (hydrocodone 7.5 mg with 500 mg of acetaminophen) lies near those that are.
_WIDTH = 2.0
_LEAST_DIFFERENCE_MG = 0.01
_ROUNDED = 0.003
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d{1,5})(?:\.\d{1,4})?"
_LIST = re.compile(
    rf"(?<![\w.,/-]){_NUMBER}(?: ?mg)?(?: ?[-/] ?{_NUMBER}(?: ?mg)?){{1,4}}(?![\w%]|[.,/-]\d| ?(?:mcg|ml|%|units?))",
    re.IGNORECASE,
)
_EACH = re.compile(_NUMBER)


def _read_combination_products() -> Mapping[tuple[str, ...], frozenset[_Assigned]]:
    products: dict[tuple[str, ...], set[_Assigned]] = {}
    combination_products: dict[str, Strength] = {}  # of 2,000 strengths in the table 300 differ
    for row in table_rows("combination_strengths.csv"):
        texts = row["strengths"].split(";")
        combination_products |= {
            text: _rounded(read_strengths(text)[0]) for text in texts if text not in combination_products
        }
        products.setdefault(tuple(row["ingredients"].split(";")), set()).add(
            tuple([combination_products[text] for text in texts])
        )
    return {codes: frozenset(product) for codes, product in products.items()}


def assign_strengths(
    members: Sequence[Ingredient], strengths: Sequence[Strength], *, in_order: bool = True
) -> tuple[Strength | None, ...]:
    """Return the strengths in the order of `members`; None for each where no product, or more than one way, fits.

    A combination of which no product is known keeps the order in which the strengths are given where the words name
    its parts `in_order`; the parts of a brand have none.
    """
    order = sorted(range(len(members)), key=lambda index: members[index].rxcui)
    products = COMBINATION_PRODUCTS.get(tuple(members[index].rxcui for index in order))
    if products is None:
        return tuple(strengths) if in_order else (None,) * len(members)
    fitting = _fitting(products, strengths) if len(strengths) == len(members) <= _MOST_INGREDIENTS else set()
    if len(fitting) != 1:
        return (None,) * len(members)
    placed = dict(zip(order, fitting.pop(), strict=True))
    return tuple(placed[index] for index in range(len(members)))


def strengths_by_first(members: Sequence[Ingredient], strength: Strength) -> tuple[Strength, ...] | None:
    """Return the strengths of the one product with this strength of its main part: "amoxicillin-clavulanate 875 mg".

    The main part is the one of which every product has the most. Where none has so much of it, the strength may be the
    sum of one product, as in "Augmentin 625". None where two products fit, and where both readings do: "1000 mg" of
    amoxicillin with clavulanate may be 875 and 125 mg.
    """
    order = sorted(range(len(members)), key=lambda index: members[index].rxcui)
    products = COMBINATION_PRODUCTS.get(tuple(members[index].rxcui for index in order), frozenset())
    kind = (strength.unit, strength.per)
    alike = [product for product in products if {(part.unit, part.per) for part in product} == {kind}]
    mains = {max(range(len(product)), key=lambda index: product[index].amount) for product in alike}
    if len(mains) != 1:
        return None
    (main,) = mains
    amount = round(strength.amount, 4)
    fitting = [product for product in alike if product[main].amount == amount or _is_sum(product, amount)]
    if len(fitting) != 1:
        return None
    placed = dict(zip(order, fitting[0], strict=True))
    return tuple(placed[index] for index in range(len(members)))


def _is_sum(product: _Assigned, amount: float) -> bool:
    """Whether the parts add up to a strength, which names leave without decimals: "156 mg/5 mL" is 125 and 31.25 mg."""
    return abs(sum(part.amount for part in product) - amount) <= _ROUNDED * amount


def strengths_of_liquid(members: Sequence[Ingredient], strengths: Sequence[Strength | None]) -> tuple[Strength, ...]:
    """Return the strengths of the liquid of which 5 mL hold what the name says ("Augmentin 400/57"); () for none."""
    of_unit = [strength for strength in strengths if strength is not None and strength.per == "unit"]
    liquid = tuple(_rounded(Strength(strength.amount / 5.0, strength.unit, "mL")) for strength in of_unit)
    order = sorted(range(len(members)), key=lambda index: members[index].rxcui)
    products = COMBINATION_PRODUCTS.get(tuple(members[index].rxcui for index in order), frozenset())
    return liquid if len(liquid) == len(order) and tuple(liquid[index] for index in order) in products else ()


def _fitting(products: frozenset[_Assigned], strengths: Sequence[Strength]) -> set[_Assigned]:
    ways = set(permutations(map(_rounded, strengths)))
    exact = ways & products or {product for product in products for way in ways if _is_of_amounts(way, product)}
    return exact or {way for way in ways if _is_near(way, products)}


def _is_of_amounts(way: _Assigned, product: _Assigned) -> bool:
    """Whether it is the product without what its amounts are in: "250-50 mcg" of a puff, "100 units-33 mcg/mL"."""
    return all(
        (written.amount, written.unit) == (sold.amount, sold.unit) and written.per in ("unit", sold.per)
        for written, sold in zip(way, product, strict=True)
    )


def _is_near(way: _Assigned, products: frozenset[_Assigned]) -> bool:
    """Whether each strength lies within those of the ingredient, half the least to twice the most."""
    for index, position in enumerate(way):
        amounts = [
            product[index].amount
            for product in products
            if (product[index].unit, product[index].per) == (position.unit, position.per)
        ]
        if not amounts or not min(amounts) / _WIDTH <= position.amount <= max(amounts) * _WIDTH:
            return False
    return True


def least_shares(members: Sequence[Ingredient]) -> tuple[float, ...]:
    """Return the least part of an ordered mass that each member can be, whichever ingredient or sum the mass is of.

    "800 mg" of trimethoprim and sulfamethoxazole (1 to 5 in every product) is at least 133 mg of trimethoprim. Empty
    where no product, or not every strength, is known in milligrams.
    """
    order = sorted(range(len(members)), key=lambda index: members[index].rxcui)
    products = COMBINATION_PRODUCTS.get(tuple(members[index].rxcui for index in order), frozenset())
    amounts = [tuple(strength.milligrams for strength in product) for product in products]
    in_milligrams = [tuple(mass for mass in masses if mass) for masses in amounts]
    if not in_milligrams or any(len(masses) < len(members) for masses in in_milligrams):
        return ()
    shares = [min(masses[index] / sum(masses) for masses in in_milligrams) for index in range(len(members))]
    return tuple(shares[order.index(index)] for index in range(len(members)))


def shares_of_sum(members: Sequence[Ingredient], milligrams: float) -> tuple[float, ...]:
    """Return the masses of the members where just one product has this sum and no product has so much of one of them.

    "3.375 g" of piperacillin with tazobactam is 3 g and 0.375 g. "1000 mg" of amoxicillin with clavulanate may
    be 875 and 125 mg or 1000 mg of amoxicillin: empty.
    """
    order = sorted(range(len(members)), key=lambda index: members[index].rxcui)
    products = COMBINATION_PRODUCTS.get(tuple(members[index].rxcui for index in order), frozenset())
    sold = [
        tuple(strength.milligrams or 0.0 for strength in product)
        for product in products
        if {strength.per for strength in product} == {"unit"}
    ]
    of_sum = {masses for masses in sold if all(masses) and abs(sum(masses) - milligrams) < _LEAST_DIFFERENCE_MG}
    if len(of_sum) != 1 or any(abs(mass - milligrams) < _LEAST_DIFFERENCE_MG for masses in sold for mass in masses):
        return ()
    masses_by_order = of_sum.pop()
    return tuple(masses_by_order[order.index(index)] for index in range(len(members)))


def member_of_mass(members: Sequence[Ingredient], milligrams: float) -> int | None:
    """Return whose mass this is, where products hold so much of just one member and none has it as its sum.

    "875 mg" of amoxicillin with clavulanate is of amoxicillin; "1000 mg" may be the sum of 875 and 125 mg: None.
    """
    order = sorted(range(len(members)), key=lambda index: members[index].rxcui)
    named: set[int] = set()
    for product in COMBINATION_PRODUCTS.get(tuple(members[index].rxcui for index in order), frozenset()):
        masses = [strength.milligrams or 0.0 if strength.per == "unit" else 0.0 for strength in product]
        if abs(sum(masses) - milligrams) < _LEAST_DIFFERENCE_MG:
            return None
        named.update(order[at] for at, mass in enumerate(masses) if abs(mass - milligrams) < _LEAST_DIFFERENCE_MG)
    return named.pop() if len(named) == 1 else None


def strengths_without_unit(members: Sequence[Ingredient], words: str) -> tuple[Strength, ...] | None:
    """Return the strengths of "Norco 10-325": numbers without a unit count where a product has just these milligrams.

    None where none does: "1-2 tablets" and a date are no strengths.
    """
    products = COMBINATION_PRODUCTS.get(tuple(sorted(member.rxcui for member in members)))
    if products is None:
        return None
    for strengths in _lists(words, len(members)):
        if set(permutations(strengths)) & products:
            return strengths
    return None


def _lists(words: str, length: int) -> Iterator[_Assigned]:
    """Every list of so many numbers: as mg all, with each as micrograms, the mg of 5 mL, the micrograms of a breath."""
    for match in _LIST.finditer(words):
        amounts = [number(digits) for digits in _EACH.findall(match.group())]
        if len(amounts) == length:
            for factors in _FACTORS[: 1 + length]:
                yield tuple(
                    Strength(round(amount * factor, 4), "mg")
                    for amount, factor in zip(amounts, factors[-length:], strict=True)
                )
            yield tuple(Strength(round(amount / 5.0, 4), "mg", "mL") for amount in amounts)
            yield tuple(Strength(round(amount / 1000.0, 4), "mg", "actuation") for amount in amounts)


# "Junel 1.5/30" is 1.5 mg and 30 micrograms: in a list the smaller part may stand last or first.
_FACTORS = ((1.0,) * 5, (1.0, 1.0, 1.0, 1.0, 0.001), (1.0, 1.0, 1.0, 0.001, 1.0), (1.0, 1.0, 0.001, 1.0, 1.0))


def _rounded(strength: Strength) -> Strength:
    """Return the strength as it is compared: "400 mg/5 mL" and "80 MG/ML" are the same."""
    return Strength(round(strength.amount, 4), strength.unit, strength.per)


COMBINATION_PRODUCTS: Final[Mapping[tuple[str, ...], frozenset[_Assigned]]] = _read_combination_products()
"""The strengths of every combination that is sold, by the RxNorm codes of its ingredients in ascending order."""
