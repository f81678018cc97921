"""The tables of medications: ingredients with their classes, products by code, and products that rules suggest.

Facts carried from shared/data/medications (its README names the sources: NDF-RT to RxNorm and FDA substance tables,
ATC codes of WHO, the products of the sample charts). In `tables/ingredients.csv` the column `source` says how a code
was checked. `tables/rxnorm.csv` holds names of RxNorm Current Prescribable Content, release of 2025-10-06, for the
ingredients that rules know (read from davidanderson3/rxnorm-ingredients@a8fcf13, which lacks the ingredients under A;
two codes of Eliquis are from public code).

`tables/further_ingredients.csv` and `tables/brand_names.csv` hold what no rule names: the other ingredients and the
brands of the same release; under A the ingredients on whose code NDF-RT and the FDA's table agree
(dbmi-pitt/public-PDDI-analysis@8199ee6; of the names of the release that they hold, 1,297 of 1,300 and 1,742 of 1,751
have its code); ATC codes of 2021-12-03 by name (wislibot/RxNorm@026f509). An ingredient whose RxNorm code was not read
has its ATC code as its key ("atc-L01EF03"). For all of them allergies and duplicates are checked.

This product uses publicly available data from the U.S. National Library of Medicine (NLM), National Institutes of
Health, Department of Health and Human Services; NLM is not responsible for the product and does not endorse or
recommend this or any other product.
"""

import csv
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from msgspec import Struct

from fhir.terminology.medication_strength import Strength, read_strengths

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
NDC = "http://hl7.org/fhir/sid/ndc"
ATC = "http://www.whocc.no/atc"
# CDC's codes of vaccines. A vaccine has no RxNorm ingredient in our tables: its key is "cvx-" and its code.
CVX = "http://hl7.org/fhir/sid/cvx"
CVX_SYSTEMS = frozenset({CVX, "urn:oid:2.16.840.1.113883.12.292"})
VACCINE = "cvx-"
"""How the key of a vaccine begins, where other ingredients have an RxNorm code."""
_MIMIC = "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-medication-"
MIMIC_NAME = f"{_MIMIC}name"
MIMIC_GROUP = f"{_MIMIC}etc"
MIMIC_IV_FLUID = f"{_MIMIC}poe-iv"

# The short name of a code system in tables/products.csv, by the addresses it goes by.
_SYSTEMS = {
    RXNORM: "rxnorm",
    "urn:oid:2.16.840.1.113883.6.88": "rxnorm",
    NDC: "ndc",
    "urn:oid:2.16.840.1.113883.6.69": "ndc",
    f"{_MIMIC}ndc": "ndc",
    f"{_MIMIC}gsn": "gsn",
    ATC: "atc",
    CVX: "cvx",
    "urn:oid:2.16.840.1.113883.12.292": "cvx",
    "urn:oid:2.16.840.1.113883.6.73": "atc",
}
RXNORM_SYSTEMS = frozenset(address for address, short in _SYSTEMS.items() if short == "rxnorm")
_ATC_LOCAL = ("D", "S", "M02")
# Segments of a ten-digit NDC and how wide each is in the eleven-digit form (FDA, 21 CFR 207.33; CMS billing form).
_NDC_SEGMENTS = (5, 4, 2)


class Ingredient(Struct, frozen=True, gc=False):
    """An active ingredient: its RxNorm ingredient code and name."""

    rxcui: str
    name: str


class Product(Struct, frozen=True, gc=False):
    """What a code stands for; `strengths` stand beside `ingredients`, None where the table has none.

    `name` is the product's RxNorm name where the table carries it: strength and form can be read from it.
    """

    ingredients: tuple[Ingredient, ...]
    strengths: tuple[Strength | None, ...]
    dose_form: str | None = None
    systemic: bool | None = None
    name: str | None = None


class Orderable(Struct, frozen=True, gc=False):
    """A product that a suggestion may order."""

    rxcui: str
    name: str
    ingredients: tuple[Ingredient, ...]


def table_rows(name: str) -> list[dict[str, str]]:
    """The rows of one of our tables."""
    text = (files("fhir.terminology") / "tables" / name).read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines())  # not DictReader, which fills up a row that is too short
    return [dict(zip(header, row, strict=True)) for row in rows]


def _read_ingredient_rows() -> Mapping[str, dict[str, str]]:
    rows = [*table_rows("ingredients.csv"), *table_rows("further_ingredients.csv")]
    ingredient_rows: dict[str, dict[str, str]] = {}
    names: set[str] = set()
    for row in rows:
        if row["rxcui"] not in ingredient_rows and row["name"] not in names:
            ingredient_rows[row["rxcui"]] = row
            names.add(row["name"])
    return ingredient_rows


INGREDIENT_ROWS: Final[Mapping[str, dict[str, str]]] = _read_ingredient_rows()
"""The rows of both tables of ingredients by code: those that rules know first, then the others.

    An ingredient that stands in both is what `ingredients.csv` says of it.
    """


INGREDIENTS: Final[Mapping[str, Ingredient]] = {
    rxcui: Ingredient(rxcui, row["name"]) for rxcui, row in INGREDIENT_ROWS.items()
}
"""Every known ingredient by its RxNorm code."""


INGREDIENT_BY_NAME: Final[Mapping[str, Ingredient]] = {
    ingredient.name: ingredient for ingredient in INGREDIENTS.values()
}
"""Every known ingredient by its name in lower case."""


_CLASSES_BY_INGREDIENT: Final[Mapping[str, frozenset[str]]] = {
    rxcui: frozenset(filter(None, row["classes"].split(";"))) for rxcui, row in INGREDIENT_ROWS.items()
}


def atc_codes(ingredient: Ingredient) -> tuple[str, ...]:
    """The ATC codes of an ingredient, one for each use; empty where the tables have none."""
    return tuple(filter(None, INGREDIENT_ROWS[ingredient.rxcui]["atc"].split(";")))


def classes_of(members: tuple[Ingredient, ...]) -> frozenset[str]:
    """The classes of all these ingredients together; empty for ingredients that are in none."""
    by_ingredient = _CLASSES_BY_INGREDIENT
    if len(members) == 1:
        return by_ingredient.get(members[0].rxcui, frozenset())
    return frozenset().union(*(by_ingredient.get(member.rxcui, frozenset()) for member in members))


def _read_class_members() -> Mapping[str, frozenset[str]]:
    members: dict[str, set[str]] = {row["class"]: set() for row in table_rows("medication_classes.csv")}
    for rxcui, names in _CLASSES_BY_INGREDIENT.items():
        for name in names:
            members[name].add(rxcui)
    return {name: frozenset(codes) for name, codes in members.items()}


CLASS_MEMBERS: Final[Mapping[str, frozenset[str]]] = _read_class_members()
"""RxNorm codes of the ingredients of each class; every class of the table is a key."""


def _read_orderables() -> Mapping[str, Orderable]:
    ingredients = INGREDIENTS
    return {
        row["rxcui"]: Orderable(
            row["rxcui"],
            row["name"],
            tuple(ingredients[code] for code in row["ingredients"].split(";") if code in ingredients),
        )
        for row in table_rows("orderables.csv")
    }


ORDERABLES: Final[Mapping[str, Orderable]] = _read_orderables()
"""Products that rules suggest, by RxNorm code."""


_PRODUCT_ROWS: Final[Mapping[tuple[str, str], dict[str, str]]] = {
    (row["system"], row["code"]): row for row in table_rows("products.csv")
}


def _read_ingredient_by_atc() -> Mapping[str, Ingredient]:
    ingredients = INGREDIENTS
    ingredient: dict[str, Ingredient] = {}
    for rxcui, row in INGREDIENT_ROWS.items():
        for code in filter(None, row["atc"].split(";")):
            ingredient.setdefault(code, ingredients[rxcui])
    return ingredient


_INGREDIENT_BY_ATC: Final[Mapping[str, Ingredient]] = _read_ingredient_by_atc()


def product_of(system: str | None, code: str | None) -> Product | None:
    """What this code stands for, as a product, an orderable or an ingredient; None when the tables do not know it.

    >>> [ingredient.name for ingredient in product_of(RXNORM, "1049221").ingredients]
    ['acetaminophen', 'oxycodone']
    >>> product_of("urn:other", "1049221") is None
    True
    """
    short = _SYSTEMS.get(system or "")
    if short is None or not code:
        return None
    if short == "atc":
        return _product_of_atc(code.strip().upper())
    row = _PRODUCT_ROWS.get((short, _as_in_table(short, code.strip())))
    if row is not None:
        return _product_of_row(row)
    return _product_of_rxnorm(code.strip()) if short == "rxnorm" else None


def _as_in_table(short: str, code: str) -> str:
    """The code in the spelling of tables/products.csv."""
    if short == "ndc":
        return ndc11(code)
    return code.lstrip("0").zfill(2) if short == "cvx" else code


def _product_of_row(row: dict[str, str]) -> Product:
    ingredients = INGREDIENTS
    members = tuple(ingredients[code] for code in row["ingredients"].split(";"))
    strengths = tuple(strength for item in row["strengths"].split(";") for strength in read_strengths(item))
    return Product(
        members,
        # A mixture with fewer strengths than ingredients does not say whose they are.
        strengths if len(strengths) == len(members) else (None,) * len(members),
        row["dose_form"] or None,
        row["systemic"] == "yes",
    )


def _product_of_rxnorm(code: str) -> Product | None:
    ingredient = INGREDIENTS.get(code)
    if ingredient is not None:
        return Product((ingredient,), (None,))
    orderable = ORDERABLES.get(code)
    if orderable is None:
        return None
    return Product(orderable.ingredients, (None,) * len(orderable.ingredients), name=orderable.name)


def rxnorm_name(code: str) -> str | None:
    """The RxNorm name of a product, a component, a salt or a brand (tables/rxnorm.csv); None for other codes."""
    return RXNORM_NAMES.get(code)


def _read_rxnorm_names() -> Mapping[str, str]:
    text = (files("fhir.terminology") / "tables" / "rxnorm.csv").read_text(encoding="utf-8")
    return dict(csv.reader(text.splitlines()))


RXNORM_NAMES: Final[Mapping[str, str]] = _read_rxnorm_names()
"""Every name of tables/rxnorm.csv by its RxNorm code."""


def _product_of_atc(code: str) -> Product | None:
    by_atc = _INGREDIENT_BY_ATC
    ingredient = by_atc.get(code)
    if ingredient is None:
        return None
    # ATC groups D (skin), S (eye, ear) and M02 (joints, topical) are local, but for drugs that have no other code:
    # acetazolamide tablets are S01EC01, acitretin capsules D05BB02.
    elsewhere = any(by_atc[other] == ingredient for other in by_atc if not other.startswith(_ATC_LOCAL))
    return Product((ingredient,), (None,), systemic=not (code.startswith(_ATC_LOCAL) and elsewhere))


def ndc11(code: str) -> str:
    """An NDC in the eleven-digit form without hyphens; other text comes back as it is.

    >>> ndc11("0002-8215-01"), ndc11("00002821501")
    ('00002821501', '00002821501')
    """
    parts = code.strip().split("-")
    if len(parts) == len(_NDC_SEGMENTS) and all(part.isdigit() for part in parts):
        return "".join(part.zfill(width) for part, width in zip(parts, _NDC_SEGMENTS, strict=True))
    return code.strip()
