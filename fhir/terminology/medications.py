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
has its ATC code as its key ("atc-B01AA04"). For all of them allergies and duplicates are checked.

Facts carried from shared/data/drugnames (its README names sources and licenses): further codes and names of the same
release and RxNorm names seen in public value sets (tables/rxnorm_products.csv); INN, and names in German (epha, MIT;
KBV MIOParser, Apache-2.0), French (BDPM of 2019-11-15, licence ouverte) and Spanish; brands of the EU (EMA medicines
list of 2025-10-27), of France (BDPM), of the UK (NHS dm+d, OGL) and, as facts of general knowledge, of other countries.
tables/atc_groups.csv has the classes of ATC groups (WHO Collaborating Centre for Drug Statistics Methodology, index of
2026-04-25; read on 2026-11-22): codes of groups, no names.

This product uses publicly available data from the U.S. National Library of Medicine (NLM), National Institutes of
Health, Department of Health and Human Services; NLM is not responsible for the product and does not endorse or
recommend this or any other product.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from mmap import ACCESS_READ, mmap
from typing import Any, Final

from msgspec import Struct

from fhir.terminology.imported import is_used, meaning_of_code, plain_address
from fhir.terminology.medication_strength import Strength, read_strengths
from fhir.terminology.package_tables import package_rows

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
# CDC's codes of vaccines. A vaccine has no RxNorm ingredient in our tables: its key is "cvx-" and its code.
CVX = "http://hl7.org/fhir/sid/cvx"
VACCINE = "cvx-"
"""How the key of a vaccine begins, where other ingredients have an RxNorm code."""
_MIMIC = "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-medication-"
MIMIC_NAME = f"{_MIMIC}name"
MIMIC_GROUP = f"{_MIMIC}etc"

_ATC_LOCAL = ("D", "S", "M02")
# Segments of a ten-digit NDC and how wide each is in the eleven-digit form (FDA, 21 CFR 207.33; CMS billing form).
_NDC_SEGMENTS = (5, 4, 2)
_NDC_DIGITS = sum(_NDC_SEGMENTS)
_NDC_PRODUCT_DIGITS = 9


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
    dose_form: str = ""
    systemic: bool | None = None
    name: str | None = None


class Orderable(Struct, frozen=True, gc=False):
    """A product that a suggestion may order."""

    rxcui: str
    name: str
    ingredients: tuple[Ingredient, ...]


def table_rows(name: str) -> list[dict[str, str]]:
    """Return the rows of one of our tables."""
    return package_rows("fhir.terminology", f"tables/{name}")


def addresses_of(*systems: str) -> dict[str, Any]:
    """Return the short names of these code systems by the addresses that they go by."""
    return {row["address"]: row["system"] for row in table_rows("code_systems.csv") if row["system"] in systems}


_SYSTEMS: Final = addresses_of("rxnorm", "ndc", "gsn", "atc", "cvx")
CVX_SYSTEMS: Final = frozenset(addresses_of("cvx"))


class IngredientRow(Struct, frozen=True, gc=False):
    """A row of the tables of ingredients; `is_word` is False where the name alone is no name of what is ordered."""

    name: str
    atc: tuple[str, ...]
    classes: frozenset[str]
    is_word: bool


def _read_ingredient_rows() -> Mapping[str, IngredientRow]:
    rows = [*table_rows("ingredients.csv"), *table_rows("further_ingredients.csv")]
    ingredient_rows: dict[str, IngredientRow] = {}
    names: set[str] = set()
    classes: dict[str, frozenset[str]] = {}  # of 4,800 rows 150 differ
    for row in rows:
        # A drug that a rule learns to know stands in both tables for a while: that of the rules counts.
        if row["rxcui"] not in ingredient_rows and row["name"] not in names:
            of_row = classes.setdefault(row["classes"], frozenset(filter(None, row["classes"].split(";"))))
            atc = tuple(filter(None, row["atc"].split(";")))
            ingredient_rows[row["rxcui"]] = IngredientRow(row["name"], atc, of_row, row.get("words") != "no")
            names.add(row["name"])
    return ingredient_rows


INGREDIENT_ROWS: Final[Mapping[str, IngredientRow]] = _read_ingredient_rows()
"""The rows of both tables of ingredients by code: those that rules know first, then the others.

    An ingredient that stands in both is what `ingredients.csv` says of it.
    """


INGREDIENTS: Final[Mapping[str, Ingredient]] = {
    rxcui: Ingredient(rxcui, row.name) for rxcui, row in INGREDIENT_ROWS.items()
}
"""Every known ingredient by its RxNorm code."""


INGREDIENT_BY_NAME: Final[Mapping[str, Ingredient]] = {
    ingredient.name: ingredient for ingredient in INGREDIENTS.values()
}
"""Every known ingredient by its name in lower case."""


_CLASSES_BY_ATC_GROUP: Final[Mapping[str, frozenset[str]]] = {
    row["code"]: frozenset(row["classes"].split(";")) for row in table_rows("atc_groups.csv") if row["classes"]
}
"""The classes of the ATC groups of the third and fourth level: what a code of the group is whatever its ingredient."""

_ATC_KEY = "atc-"
_ATC_GROUPS = (5, 4)  # characters of a code of the fourth and the third level


def classes_of_atc(code: str) -> frozenset[str]:
    """Return the classes of the narrowest group of this ATC code; empty where no group is in a class.

    >>> sorted(classes_of_atc("J01CA99"))
    ['beta_lactam_penicillin_allergen', 'penicillin']
    """
    groups = (_CLASSES_BY_ATC_GROUP.get(code[:length]) for length in _ATC_GROUPS if len(code) >= length)
    return next((classes for classes in groups if classes), frozenset())


def _classes_of_ingredient(rxcui: str) -> frozenset[str]:
    row = INGREDIENT_ROWS.get(rxcui)
    if row is not None:
        return row.classes
    return classes_of_atc(rxcui.removeprefix(_ATC_KEY)) if rxcui.startswith(_ATC_KEY) else frozenset()


def atc_codes(ingredient: Ingredient) -> tuple[str, ...]:
    """Return the ATC codes of an ingredient, one for each use; empty where the tables have none."""
    row = INGREDIENT_ROWS.get(ingredient.rxcui)
    if row is None:
        return (ingredient.rxcui.removeprefix(_ATC_KEY),) if ingredient.rxcui.startswith(_ATC_KEY) else ()
    return row.atc


def classes_of(members: tuple[Ingredient, ...]) -> frozenset[str]:
    """Return the classes of all these ingredients together; empty for ingredients that are in none."""
    if len(members) == 1:
        return _classes_of_ingredient(members[0].rxcui)
    return frozenset().union(*(_classes_of_ingredient(member.rxcui) for member in members))


CLASS_KINDS: Final[Mapping[str, str]] = {row["class"]: row["kind"] for row in table_rows("medication_classes.csv")}
"""Whether a class is therapeutic, or made for a rule, by its name."""


def _read_class_members() -> Mapping[str, frozenset[str]]:
    members: dict[str, set[str]] = {row["class"]: set() for row in table_rows("medication_classes.csv")}
    for rxcui, row in INGREDIENT_ROWS.items():
        for name in row.classes:
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
            tuple(ingredients[code] for code in row["ingredients"].split(";")),
        )
        for row in table_rows("orderables.csv")
    }


ORDERABLES: Final[Mapping[str, Orderable]] = _read_orderables()
"""Products that rules suggest, by RxNorm code."""


_PRODUCT_ROWS: Final[Mapping[tuple[str, str], dict[str, str]]] = {
    (row["system"], row["code"]): row for row in table_rows("products.csv")
}


def _read_ingredients_by_atc() -> Mapping[str, tuple[Ingredient, ...]]:
    ingredients = INGREDIENTS
    by_atc = {
        group["code"]: tuple([ingredients[code] for code in group["ingredients"].split(";")])
        for group in table_rows("atc_groups.csv")
        if group["ingredients"]
    }
    for rxcui, row in INGREDIENT_ROWS.items():
        for code in row.atc:
            by_atc.setdefault(code, (ingredients[rxcui],))
    return by_atc


_INGREDIENTS_BY_ATC: Final[Mapping[str, tuple[Ingredient, ...]]] = _read_ingredients_by_atc()


_SNOMED: Final = frozenset({"http://snomed.info/sct", "urn:oid:2.16.840.1.113883.6.96"})


def _read_substances() -> Mapping[str, tuple[Ingredient, ...]]:
    substances: dict[str, tuple[Ingredient, ...]] = {}
    for row in table_rows("snomed_drugs.csv"):
        for code in filter(None, row["substance"].split(";")):
            substances[code] = (*substances.get(code, ()), INGREDIENTS[row["rxcui"]])
    return substances


_INGREDIENTS_BY_SNOMED: Final[Mapping[str, tuple[Ingredient, ...]]] = _read_substances()


def drug_system(system: str | None) -> str | None:
    """Return the short name of a code system of drugs, by any of its addresses; None for other systems.

    >>> drug_system("https://www.nlm.nih.gov/research/umls/rxnorm/"), drug_system("http://loinc.org")
    ('rxnorm', None)
    """
    address = system or ""
    short = _SYSTEMS.get(address)
    if short is None and address:
        # Charts write https for http, a slash at the end, and a bare OID.
        address = address.strip().rstrip("/").split("|", 1)[0]
        address = f"http{address[5:]}" if address.startswith("https") else address
        short = _SYSTEMS.get(address) or _SYSTEMS.get(f"urn:oid:{address}")
    return short


def product_of(system: str | None, code: str | None) -> Product | None:
    """Return what this code stands for, as a product, an orderable or an ingredient; None if the tables lack it.

    >>> [ingredient.name for ingredient in product_of(RXNORM, "1049221").ingredients]
    ['acetaminophen', 'oxycodone']
    >>> product_of("urn:other", "1049221") is None
    True
    """
    short = drug_system(system)
    if short is None or not code:
        return None
    if short == "atc":
        return _product_of_atc(code.strip().upper())
    row = _row_of_ndc(code.strip()) if short == "ndc" else _PRODUCT_ROWS.get((short, _as_in_table(short, code.strip())))
    if row is not None:
        return _product_of_row(row)
    return _product_of_rxnorm(code.strip()) if short == "rxnorm" else None


def product_of_substance(system: str | None, code: str | None) -> Product | None:
    """Return what the code of a substance of SNOMED CT, or an imported code, stands for, without strength and form.

    >>> product_of_substance("http://snomed.info/sct", "387207008").ingredients[0].name
    'ibuprofen'
    """
    if not code:
        return None
    ingredients = _INGREDIENTS_BY_SNOMED.get(code.strip(), ()) if system in _SNOMED else ()
    if not ingredients and is_used():
        short = "snomed" if system in _SNOMED else drug_system(system) or plain_address(system or "")
        imported = meaning_of_code(short, code)
        ingredients = tuple([INGREDIENTS[rxcui] for rxcui in imported.ingredients]) if imported is not None else ()
    return Product(ingredients, (None,) * len(ingredients)) if ingredients else None


def _as_in_table(short: str, code: str) -> str:
    """Return the code in the spelling of tables/products.csv."""
    return code.lstrip("0").zfill(2) if short == "cvx" else code


def _product_of_row(row: dict[str, str]) -> Product:
    ingredients = INGREDIENTS
    members = tuple(ingredients[code] for code in row["ingredients"].split(";"))
    strengths = tuple(strength for item in row["strengths"].split(";") for strength in read_strengths(item))
    return Product(
        members,
        # A mixture with fewer strengths than ingredients does not say whose they are.
        strengths if len(strengths) == len(members) else (None,) * len(members),
        row["dose_form"],
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


class RxNormEntry(Struct, frozen=True, gc=False):
    """A name of RxNorm; `ingredients` and `strengths` only where they cannot be read from the name."""

    name: str
    ingredients: tuple[Ingredient, ...] = ()
    strengths: tuple[Strength | None, ...] = ()


def _map_lines(name: str) -> mmap:
    with (files("fhir.terminology") / "tables" / name).open("rb") as table:
        return mmap(table.fileno(), 0, access=ACCESS_READ)


_RXNORM: Final[tuple[mmap, mmap]] = (_map_lines("rxnorm.csv"), _map_lines("rxnorm_products.csv"))
"""The lines of both tables in ascending order of their codes, mapped: only what is looked up is ever in memory."""


def rxnorm_names() -> Iterator[tuple[str, str]]:
    """Every code of tables/rxnorm.csv, the drugs that rules know, with its name."""
    for row in table_rows("rxnorm.csv"):
        yield row["rxcui"], row["name"]


def rxnorm_entry(code: str) -> RxNormEntry | None:
    """Return what the tables have of a product, a component, a salt or a brand of RxNorm; None for other codes."""
    if not code.isascii() or not code.isdigit():
        return None
    lines = (_line_of(table, int(code)) for table in _RXNORM)
    return next((_entry_of_line(line.decode()) for line in lines if line is not None), None)


def _line_of(table: mmap, wanted: int) -> bytes | None:
    """Return the rest of the line that begins with this code, by halving the table: 17 steps."""
    low, high = table.find(b"\n") + 1, len(table)  # after the header
    while low < high:
        start = table.rfind(b"\n", 0, (low + high) // 2) + 1
        end = table.find(b"\n", start)
        number, _, rest = table[start:end].partition(b",")
        if int(number) == wanted:
            return rest
        if int(number) < wanted:
            low = end + 1
        else:
            high = start
    return None


def _entry_of_line(line: str) -> RxNormEntry:
    name, codes, strengths, *_ = [*next(csv.reader([line])), "", ""]
    if not codes:
        return RxNormEntry(name)
    members = tuple(INGREDIENTS[code] for code in codes.split(";"))
    stated_strengths = [read_strengths(text) for text in strengths.split(";")] if strengths else []
    read = tuple(texts[0] if texts else None for texts in stated_strengths)
    return RxNormEntry(name, members, read if len(read) == len(members) else (None,) * len(members))


def _product_of_atc(code: str) -> Product | None:
    by_atc = _INGREDIENTS_BY_ATC
    members = by_atc.get(code)
    if members is None:
        return None
    # ATC groups D (skin), S (eye, ear) and M02 (joints, topical) are local, but for drugs that have no other code:
    # acetazolamide tablets are S01EC01, acitretin capsules D05BB02.
    elsewhere = any(by_atc[other] == members for other in by_atc if not other.startswith(_ATC_LOCAL))
    return Product(members, (None,) * len(members), systemic=not (code.startswith(_ATC_LOCAL) and elsewhere))


_ATC_CODE = re.compile(r"[A-Z]\d\d[A-Z]{1,2}(?:\d\d)?")


def product_of_atc_group(system: str | None, code: str | None) -> Product | None:
    """Return what an ATC code says whose ingredient the tables do not have: a drug of the classes of its group.

    >>> product_of_atc_group("http://www.whocc.no/atc", "J01CA99").ingredients
    (Ingredient(rxcui='atc-J01CA99', name='penicillin (ATC J01CA99)'),)
    """
    atc = (code or "").strip().upper()
    if drug_system(system) != "atc" or _ATC_CODE.fullmatch(atc) is None:
        return None
    classes = classes_of_atc(atc)
    if not classes:
        return None
    kind = min(classes, key=lambda name: (CLASS_KINDS[name] != "therapeutic", name)).replace("_", " ")
    systemic = not atc.startswith(_ATC_LOCAL)
    return Product((Ingredient(f"{_ATC_KEY}{atc}", f"{kind} (ATC {atc})"),), (None,), systemic=systemic)


def ndc11(code: str) -> tuple[str, ...]:
    """Return the eleven digits an NDC may stand for; two where ten digits without hyphens may be split in two ways.

    A labeler's code of four digits begins with 0 in the eleven-digit form, one of five never does (21 CFR 207.33). A
    code of labeler and product alone gives nine digits.

    >>> ndc11("0002-8215-01"), ndc11("00002821501"), ndc11("0002821501"), ndc11("0002-8215")
    (('00002821501',), ('00002821501',), ('00002821501',), ('000028215',))
    >>> ndc11("5114412302")
    ('51144012302', '51144123002')
    """
    parts = code.strip().split("-")
    if not all(part.isascii() and part.isdigit() for part in parts):
        return ()
    if 2 <= len(parts) <= len(_NDC_SEGMENTS):
        return ("".join(part.zfill(width) for part, width in zip(parts, _NDC_SEGMENTS, strict=False)),)
    digits = parts[0]
    if len(digits) != _NDC_DIGITS - 1:
        return (digits,) if len(digits) == _NDC_DIGITS else ()
    return (f"0{digits}",) if digits[0] == "0" else (f"{digits[:5]}0{digits[5:]}", f"{digits[:9]}0{digits[9]}")


def _row_of_ndc(code: str) -> dict[str, str] | None:
    """Return the row of a package, else of another package of the same product; None if two products could be meant."""
    codes = ndc11(code)
    packages = [row for digits in codes if (row := _PRODUCT_ROWS.get(("ndc", digits))) is not None]
    if packages or len(codes) != 1:
        return packages[0] if len(packages) == 1 else None
    return _NDC_PRODUCTS.get(codes[0][:_NDC_PRODUCT_DIGITS])


def _read_ndc_products() -> Mapping[str, dict[str, str]]:
    """Return what all known packages of one labeler's product are, by the nine digits of labeler and product."""
    products: dict[str, list[dict[str, str]]] = {}
    for (system, code), row in _PRODUCT_ROWS.items():
        if system == "ndc":
            products.setdefault(code[:_NDC_PRODUCT_DIGITS], []).append(row)
    return {
        digits: rows[0]
        for digits, rows in products.items()
        if all(row | {"code": ""} == rows[0] | {"code": ""} for row in rows)
    }


_NDC_PRODUCTS: Final[Mapping[str, dict[str, str]]] = _read_ndc_products()
