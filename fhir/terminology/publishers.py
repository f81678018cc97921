"""Reads the tables that publishers make of their code systems: LOINC, RxNorm, ATC, ICD-10, CVX.

Each table is a row of `TABLES`: how its file is named, who makes it, which columns are read, and by which function.
What a code means is said by our tables and definitions: a title of ICD-10 means what its code means, a product what its
ingredients are. A file of another form ends the import with its line. Any other code system is a table of the site
(site_table.py).
"""

import re
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence, Set
from contextlib import closing
from functools import partial
from typing import Final, NamedTuple

from fhir.terminology.analytes import ANALYTE_BY_CODE
from fhir.terminology.conditions import condition_groups_of
from fhir.terminology.definitions import holds
from fhir.terminology.imported import Meaning
from fhir.terminology.medication_names import medication_of_code, read_name
from fhir.terminology.medications import INGREDIENT_BY_NAME, INGREDIENTS, RXNORM
from fhir.terminology.release_files import Imported, ReleaseFile, rows_of
from fhir.terminology.rf2 import NotARelease
from fhir.terminology.vaccines import families_of_code, families_of_words

_ATC: Final = "http://www.whocc.no/atc"
_CVX: Final = "http://hl7.org/fhir/sid/cvx"
_ICD10: Final = "http://hl7.org/fhir/sid/icd-10"
_ICD_CODE: Final = re.compile(r"[A-Z]\d[0-9A-Z](?:\.?[0-9A-Z]{1,4})?")
Rows = Iterable[tuple[str, ...]]


def _read_loinc(imported: Imported, rows: Rows, edition: str) -> int:
    """Take as an analyte what has component, property, time, system and scale of one of its codes, by any method."""
    parts_of = {code: ":".join(part.replace(":", " ") for part in parts) for code, *parts in rows}
    analytes: defaultdict[str, set[str]] = defaultdict(set)
    for code, parts in parts_of.items():
        analyte = ANALYTE_BY_CODE.get(code)
        if analyte is not None and analyte.kind in ("lab", "vital"):
            analytes[parts].add(analyte.key)
    held, number_of_codes = _definitions(imported, "loinc"), 0
    for parts in set(parts_of.values()):
        analytes[parts].update(held("analyte", parts))
    for code, parts in parts_of.items():
        meant = analytes[parts]
        if len(meant) == 1 and code not in ANALYTE_BY_CODE:
            imported.add_code("loinc", code, Meaning(analyte=next(iter(meant)), by=f"LOINC {edition}".rstrip()))
            number_of_codes += 1
    return number_of_codes


_RXNORM_KINDS: Final = frozenset(
    ["IN", "PIN", "MIN", "SCD", "SBD", "SCDC", "SBDC", "SCDF", "SBDF", "BN", "GPCK", "BPCK"]
)


def _read_rxnorm(imported: Imported, rows: Rows, _: str) -> int:
    number_of_codes = 0
    for code, source, kind, name in rows:
        if source != "RXNORM" or kind not in _RXNORM_KINDS or medication_of_code(RXNORM, code) is not None:
            continue
        if ingredients := read_name(name).ingredients:
            members = tuple(ingredient.rxcui for ingredient in ingredients)
            imported.add_code("rxnorm", code, Meaning(ingredients=members, name=name, by="RxNorm"))
            number_of_codes += 1
    return number_of_codes


_TO_INGREDIENT: Final = frozenset(
    ["has_ingredient", "has_ingredients", "has_precise_ingredient", "consists_of", "tradename_of", "form_of",
     "has_part", "contains", "isa"]
)  # fmt: skip


def _read_rxnorm_relations(imported: Imported, rows: Rows, _: str) -> int:
    """Products and brands by what they consist of, where neither our tables nor their names say it."""
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for part, whole, relation, source in rows:  # the second concept of a row has the relation to the first
        if source == "RXNORM" and relation in _TO_INGREDIENT and whole:
            parts[whole].add(part)
    ingredients: dict[str, frozenset[str]] = {}

    def ingredients_of(code: str, depth: int = 0) -> frozenset[str]:
        if code in INGREDIENTS:
            return frozenset([code])
        if code not in ingredients:
            ingredients[code] = frozenset()
            if depth < 8:
                ingredients[code] = frozenset().union(
                    *(ingredients_of(part, depth + 1) for part in parts.get(code, ()))
                )
        return ingredients[code]

    number_of_codes = 0
    for code in sorted(parts):
        if not _ingredients_of_rxnorm(imported, code) and (members := ingredients_of(code)):
            imported.add_code("rxnorm", code, Meaning(ingredients=tuple(sorted(members)), by="RxNorm"))
            number_of_codes += 1
    return number_of_codes


def _ingredients_of_rxnorm(imported: Imported, code: str) -> tuple[str, ...]:
    product = medication_of_code(RXNORM, code)
    if product is not None:
        return tuple(ingredient.rxcui for ingredient in product.ingredients)
    meaning = imported.codes.get(("rxnorm", code))
    return meaning.ingredients if meaning is not None else ()


def _read_rxnorm_packages(imported: Imported, rows: Rows, _: str) -> int:
    """Read the NDC of packages."""
    number_of_codes = 0
    for code, attribute, source, value in rows:
        if (attribute, source) == ("NDC", "RXNORM") and (members := _ingredients_of_rxnorm(imported, code)):
            imported.add_code("ndc", value, Meaning(ingredients=members, by="RxNorm"))
            number_of_codes += 1
    return number_of_codes


def _read_rxnorm_history(imported: Imported, rows: Rows, _: str) -> int:
    """Codes that were replaced by one other code."""
    number_of_codes = 0
    for old, cardinality, new in rows:
        members = _ingredients_of_rxnorm(imported, new)
        if cardinality == "1" and members and not _ingredients_of_rxnorm(imported, old):
            imported.add_code("rxnorm", old, Meaning(ingredients=members, by="RxNorm"))
            number_of_codes += 1
    return number_of_codes


def _read_atc(imported: Imported, rows: Rows, _: str) -> int:
    """Codes of single ingredients, and of subtrees that definitions name."""
    number_of_codes, held = 0, _definitions(imported, "atc")
    for code, name in ((code.upper(), name.lower()) for code, name in rows):
        ingredient, shipped = INGREDIENT_BY_NAME.get(name), medication_of_code(_ATC, code)
        ingredients = shipped.ingredients if shipped is not None else () if ingredient is None else (ingredient,)
        groups, allergens, vaccines = (held(kind, code) for kind in ("group", "allergen", "vaccine"))
        if groups or allergens or vaccines or (ingredients and shipped is None):
            members = tuple(member.rxcui for member in ingredients)
            meaning = Meaning(ingredients=members, groups=groups, allergens=allergens, vaccines=vaccines, by="ATC")
            imported.add_code("atc", code, meaning)
            number_of_codes += 1
    return number_of_codes


def _definitions(imported: Imported, system: str) -> Callable[[str, str], tuple[str, ...]]:
    """Return the keys of a kind whose definition in this system holds a code."""
    tests = [(row.kind, row.key, holds(row)) for row in imported.definitions if row.system == system]
    return lambda kind, code: tuple(key for of, key, is_held in tests if of == kind and is_held(code))


def _read_icd10(imported: Imported, rows: Rows, edition: str, system: str = "ICD-10") -> int:
    """Read what titles of ICD-10 mean and what definitions say of their codes beside the prefixes of our tables."""
    held, number_of_codes, by = _definitions(imported, "icd10"), 0, f"{system} {edition}"
    for code, title in rows:
        bare = code.rstrip("-.!+*").replace(".", "")
        if not _ICD_CODE.fullmatch(bare):
            continue
        groups, defined = condition_groups_of(_ICD10, bare), held("group", bare)
        if defined:
            imported.add_code("icd10", bare, Meaning(groups=defined, by=by))
        if groups or defined:
            imported.add_name(title, Meaning(groups=tuple(dict.fromkeys((*groups, *defined))), by=by))
            number_of_codes += 1
    return number_of_codes


def _icd10cm_rows(file: ReleaseFile) -> Generator[tuple[str, ...], None, None]:
    """icd10cm_codes (code, title) and icd10cm_order (number, code, whether it is valid, short and long title)."""
    with closing(file.lines()) as lines:
        for number, line in enumerate(lines, 1):
            text = line.rstrip("\r\n")
            is_order = len(text) > 77 and text[:5].isdigit()
            code, title = (text[6:13].strip(), text[77:].strip()) if is_order else (text[:7].strip(), text[7:])
            if not _ICD_CODE.fullmatch(code):
                raise NotARelease(f"{file.name}, line {number}: {code[:20]!r} is not a code of ICD-10-CM")
            yield code, title.strip()


def _read_cvx(imported: Imported, rows: Rows, edition: str) -> int:
    """Vaccines by the name that the CDC gives a code, where our tables do not have it."""
    number_of_codes = 0
    for code, short, name in rows:
        number = code.lstrip("0").zfill(2)
        families = families_of_words(name, is_vaccine=True) or families_of_words(short, is_vaccine=True)
        if families and not families_of_code(_CVX, number):
            imported.add_code("cvx", number, Meaning(vaccines=tuple(sorted(families)), by=f"CVX {edition}"))
            number_of_codes += 1
    return number_of_codes


class Table(NamedTuple):
    """A table of a publisher: by what its file is known, which columns are read of it, and how."""

    name: str
    """A regular expression of the name of its file."""
    publisher: str
    columns: tuple[str, ...]
    read: Callable[[Imported, Rows, str], int]
    """Is given the cells of the columns and the edition; returns how many codes were taken."""
    separator: str = ","
    header: str = ""
    """The columns of a file that begins with its first row."""
    by_lines: Callable[[ReleaseFile], Generator[tuple[str, ...], None, None]] | None = None
    """Reads the cells where they are in fixed places."""

    def is_of(self, name: str, header: Set[str]) -> bool:
        """Whether a file is this table: one of the site that is named as it pleases (*.csv) is known by its columns."""
        named = re.fullmatch(self.name, name) is not None
        return named and (self.name != ANY_CSV or header >= set(self.columns))

    def rows(self, file: ReleaseFile) -> Generator[tuple[str, ...], None, None]:
        """Yield the cells of the columns.

        Raises:
            NotARelease: The file has not the form of its publisher.
        """
        if self.by_lines is not None:
            return self.by_lines(file)
        return rows_of(file, self.columns, self.separator, self.header.split())


_NLM, _BFARM, _CMS = "U.S. National Library of Medicine", "BfArM", "Centers for Medicare & Medicaid Services"
ANY_CSV: Final = r"(?i:.+\.csv)"
_METADATA: Final = " ".join(f"c{number}" for number in range(1, 31))
TABLES: Final[Sequence[Table]] = (
    Table(r"Loinc(?:TableCore)?\.csv", "Regenstrief Institute",
          ("LOINC_NUM", "COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP"), _read_loinc),
    Table(r"RXNCONSO\.RRF", _NLM, ("RXCUI", "SAB", "TTY", "STR"), _read_rxnorm, "|",
          "RXCUI LAT TS LUI STT SUI ISPREF RXAUI SAUI SCUI SDUI SAB TTY CODE STR SRL SUPPRESS CVF"),
    Table(r"RXNREL\.RRF", _NLM, ("RXCUI1", "RXCUI2", "RELA", "SAB"), _read_rxnorm_relations, "|",
          "RXCUI1 RXAUI1 STYPE1 REL RXCUI2 RXAUI2 STYPE2 RELA RUI SRUI SAB SL DIR RG SUPPRESS CVF"),
    Table(r"RXNSAT\.RRF", _NLM, ("RXCUI", "ATN", "SAB", "ATV"), _read_rxnorm_packages, "|",
          "RXCUI LUI SUI RXAUI STYPE CODE ATUI SATUI ATN SAB ATV SUPPRESS CVF"),
    Table(r"RXNCUI\.RRF", _NLM, ("cui1", "cardinality", "cui2"), _read_rxnorm_history, "|",
          "cui1 ver_start ver_end cardinality cui2"),
    Table(r"(?i:icd10cm[_-](?:codes|order)[\w-]*\.txt)", _CMS, (), partial(_read_icd10, system="ICD-10-CM"),
          by_lines=_icd10cm_rows),
    Table(r"icd10\w{2,7}syst_kodes[\w-]*\.txt", _BFARM, ("c7", "c9"), _read_icd10, ";", _METADATA),
    Table(r"icd10\w{2,7}syst_codes[\w-]*\.txt", "WHO", ("c7", "c9"), _read_icd10, ";", _METADATA),
    Table(r"icd10\w{2,7}alpha\w{0,16}edvtxt[\w-]*\.txt", _BFARM, ("c4", "c8"), _read_icd10, "|",
          "c1 c2 c3 c4 c5 c6 c7 c8"),
    Table(r"(?i:cvx\.txt)", "Centers for Disease Control and Prevention", ("code", "short", "name"),
          _read_cvx, "|", "code short name notes status internal nonvaccine updated"),
    Table(ANY_CSV, "IHACPA", ("code_id", "ascii_desc"), partial(_read_icd10, system="ICD-10-AM")),
    Table(ANY_CSV, "WHO Collaborating Centre for Drug Statistics Methodology",
          ("atc_code", "atc_name"), _read_atc),
)  # fmt: skip
"""In the order in which files are read: products before what is said of them."""
