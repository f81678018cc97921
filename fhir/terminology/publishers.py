"""Reads the tables that publishers make of their code systems: LOINC, RxNorm, ATC, ICD-10, dm+d, UNII, CVX, a site's.

Each reader takes a file in its publisher's own form. What a code means is said by our tables and definitions: a title
of ICD-10 means what its code means, a product what its ingredients are. A file of another form ends the import with
its line; a single entry that cannot be read is named and left out.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any, Final, Literal
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from fhir.terminology.analytes import ANALYTE_BY_CODE
from fhir.terminology.conditions import condition_groups_of
from fhir.terminology.definitions import holds
from fhir.terminology.imported import Meaning
from fhir.terminology.medication_names import medication_of_code, read_name
from fhir.terminology.medications import INGREDIENT_BY_NAME, INGREDIENTS, RXNORM
from fhir.terminology.release_files import Imported, Reader, ReleaseFile, cells_of, edition_of, table_of
from fhir.terminology.rf2 import NotARelease
from fhir.terminology.site_table import SITE_COLUMNS, header_of, read_site
from fhir.terminology.vaccines import families_of_code, families_of_words

_RXNORM_KINDS: Final = frozenset(
    ["IN", "PIN", "MIN", "SCD", "SBD", "SCDC", "SBDC", "SCDF", "SBDF", "BN", "GPCK", "BPCK"]
)
_LOINC_PARTS: Final = ("COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP")
_ATC: Final = "http://www.whocc.no/atc"
_CVX: Final = "http://hl7.org/fhir/sid/cvx"
_UNII: Final = ("http://fdasis.nlm.nih.gov", "urn:oid:2.16.840.1.113883.4.9")
_ICD10: Final = "http://hl7.org/fhir/sid/icd-10"
_ICD_CODE: Final = re.compile(r"[A-Z]\d[0-9A-Z](?:\.?[0-9A-Z]{1,4})?")


def _read_loinc(imported: Imported, file: ReleaseFile) -> None:
    """Take as an analyte what has component, property, time, system and scale of one of its codes, by any method."""
    by, number_of_codes = f"LOINC {edition_of(file)}".rstrip(), 0
    with closing(file.lines()) as lines:
        rows = list(table_of(file.name, lines, ("LOINC_NUM", *_LOINC_PARTS)))
    analytes: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        analyte = ANALYTE_BY_CODE.get(row["LOINC_NUM"])
        if analyte is not None and analyte.kind in ("lab", "vital"):
            analytes[_parts(row)].add(analyte.key)
    held = _definitions(imported, "loinc")
    for parts in set(map(_parts, rows)):
        analytes[parts].update(held("analyte", parts))
    for row in rows:
        meant = analytes.get(_parts(row), set())
        if len(meant) == 1 and row["LOINC_NUM"] not in ANALYTE_BY_CODE:
            imported.add_code("loinc", row["LOINC_NUM"], Meaning(analyte=next(iter(meant)), by=by))
            number_of_codes += 1
    imported.note("Regenstrief Institute", file, number_of_codes)


def _parts(row: Mapping[str, str]) -> str:
    return ":".join(row[part].replace(":", " ") for part in _LOINC_PARTS)


def _read_rxnorm(imported: Imported, file: ReleaseFile) -> None:
    number_of_codes = 0
    for _, cells in cells_of(file, "|", 17, 18):
        code, source, kind, name = cells[0], cells[11], cells[12], cells[14]
        if source != "RXNORM" or kind not in _RXNORM_KINDS or medication_of_code(RXNORM, code) is not None:
            continue
        if ingredients := read_name(name).ingredients:
            members = tuple(ingredient.rxcui for ingredient in ingredients)
            imported.add_code("rxnorm", code, Meaning(ingredients=members, name=name, by="RxNorm"))
            number_of_codes += 1
    imported.note("U.S. National Library of Medicine", file, number_of_codes)


_TO_INGREDIENT: Final = frozenset(
    ["has_ingredient", "has_ingredients", "has_precise_ingredient", "consists_of", "tradename_of", "form_of",
     "has_part", "contains", "isa"]
)  # fmt: skip


def _read_rxnorm_relations(imported: Imported, file: ReleaseFile) -> None:
    """Products and brands by what they consist of, where neither our tables nor their names say it."""
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for _, cells in cells_of(file, "|", 15, 16):
        if cells[10] == "RXNORM" and cells[7] in _TO_INGREDIENT and cells[4]:
            parts[cells[4]].add(cells[0])  # in RXNREL the second concept has the relation to the first
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
        if not _has_meaning(imported, code) and (members := ingredients_of(code)):
            imported.add_code("rxnorm", code, Meaning(ingredients=tuple(sorted(members)), by="RxNorm"))
            number_of_codes += 1
    imported.note("U.S. National Library of Medicine", file, number_of_codes)


def _has_meaning(imported: Imported, code: str) -> bool:
    return ("rxnorm", code) in imported.codes or medication_of_code(RXNORM, code) is not None


def _ingredients_of_rxnorm(imported: Imported, code: str) -> tuple[str, ...]:
    product = medication_of_code(RXNORM, code)
    if product is not None:
        return tuple(ingredient.rxcui for ingredient in product.ingredients)
    meaning = imported.codes.get(("rxnorm", code))
    return meaning.ingredients if meaning is not None else ()


def _read_rxnorm_attributes(imported: Imported, file: ReleaseFile) -> None:
    """Read the NDC of packages."""
    number_of_codes = 0
    for _, cells in cells_of(file, "|", 13, 14):
        if (cells[8], cells[9]) == ("NDC", "RXNORM") and (members := _ingredients_of_rxnorm(imported, cells[0])):
            imported.add_code("ndc", cells[10], Meaning(ingredients=members, by="RxNorm"))
            number_of_codes += 1
    imported.note("U.S. National Library of Medicine", file, number_of_codes)


def _read_rxnorm_history(imported: Imported, file: ReleaseFile) -> None:
    """Codes that were replaced by one other code."""
    number_of_codes = 0
    for _, cells in cells_of(file, "|", 5, 6):
        old, new = cells[0], cells[4]
        if cells[3] == "1" and not _has_meaning(imported, old) and (members := _ingredients_of_rxnorm(imported, new)):
            imported.add_code("rxnorm", old, Meaning(ingredients=members, by="RxNorm"))
            number_of_codes += 1
    imported.note("U.S. National Library of Medicine", file, number_of_codes)


def _read_atc(imported: Imported, file: ReleaseFile) -> None:
    """Codes of single ingredients, and of subtrees that definitions name."""
    number_of_codes, held = 0, _definitions(imported, "atc")
    with closing(file.lines()) as lines:
        for row in table_of(file.name, lines, ("atc_code", "atc_name")):
            code = row["atc_code"].upper()
            ingredient = INGREDIENT_BY_NAME.get(row["atc_name"].lower())
            shipped = medication_of_code(_ATC, code)
            ingredients = shipped.ingredients if shipped is not None else () if ingredient is None else (ingredient,)
            defined = [held(kind, code) for kind in ("group", "allergen", "vaccine")]
            if any(defined) or (ingredients and shipped is None):
                members = tuple(member.rxcui for member in ingredients)
                groups, allergens, vaccines = defined
                meaning = Meaning(ingredients=members, groups=groups, allergens=allergens, vaccines=vaccines, by="ATC")
                imported.add_code("atc", code, meaning)
                number_of_codes += 1
    imported.note("WHO Collaborating Centre for Drug Statistics Methodology", file, number_of_codes)


def _definitions(imported: Imported, system: str) -> Callable[[str, str], tuple[str, ...]]:
    """Return the keys of a kind whose definition in this system holds a code."""
    tests = [(row.kind, row.key, holds(row)) for row in imported.definitions if row.system == system]
    return lambda kind, code: tuple(key for of, key, is_held in tests if of == kind and is_held(code))


def _add_icd(
    imported: Imported, file: ReleaseFile, publisher: str, system: str, rows: Iterable[tuple[str, str]]
) -> None:
    """Add what titles of ICD-10 mean and what definitions say of their codes beside the prefixes of our tables."""
    held, number_of_codes, edition = _definitions(imported, "icd10"), 0, f"{system} {edition_of(file) or file.name}"
    for code, title in rows:
        bare = code.replace(".", "")
        groups, defined = condition_groups_of(_ICD10, bare), held("group", bare)
        if defined:
            imported.add_code("icd10", bare, Meaning(groups=defined, by=edition))
        if groups or defined:
            imported.add_name(title, Meaning(groups=tuple(dict.fromkeys((*groups, *defined))), by=edition))
            number_of_codes += 1
    imported.note(publisher, file, number_of_codes)


def _read_icd10cm(imported: Imported, file: ReleaseFile) -> None:
    """icd10cm_codes (code, title) and icd10cm_order (number, code, whether it is valid, short and long title)."""

    def rows() -> Iterator[tuple[str, str]]:
        with closing(file.lines()) as lines:
            for number, line in enumerate(lines, 1):
                text = line.rstrip("\r\n")
                is_order = len(text) > 77 and text[:5].isdigit()
                code, title = (text[6:13].strip(), text[77:].strip()) if is_order else (text[:7].strip(), text[7:])
                if not _ICD_CODE.fullmatch(code):
                    raise NotARelease(f"{file.name}, line {number}: {code[:20]!r} is no code of ICD-10-CM")
                yield code, title.strip()

    _add_icd(imported, file, "Centers for Medicare & Medicaid Services", "ICD-10-CM", rows())


def _read_icd10gm(imported: Imported, file: ReleaseFile) -> None:
    """Read BfArM's metadata for ICD-10-GM and the WHO's for ICD-10: in column 7 the code, in column 9 its title."""
    rows = ((cells[6].rstrip("-.!+*"), cells[8]) for _, cells in cells_of(file, ";", 9, 30))
    publisher = "WHO" if "_codes" in file.name else "BfArM"
    _add_icd(imported, file, publisher, "ICD-10", (row for row in rows if _ICD_CODE.fullmatch(row[0])))


def _read_icd10gm_words(imported: Imported, file: ReleaseFile) -> None:
    """Read the alphabet of BfArM: in column 4 the code, in column 8 a wording of a diagnosis."""
    rows = ((cells[3].rstrip("-.!+*"), cells[7]) for _, cells in cells_of(file, "|", 8, 8))
    _add_icd(imported, file, "BfArM", "ICD-10", (row for row in rows if _ICD_CODE.fullmatch(row[0])))


def _read_xml(imported: Imported, file: ReleaseFile) -> None:
    """ClaML (WHO and national editions), the tabular list of ICD-10-CM, or a file of NHS dm+d, by its root element."""
    root = _root_of(file)
    if root == "ClaML":
        rows = ((item.get("code", ""), _rubric(item)) for item in _elements(file, "Class"))
        rows_of_codes = ((code, title) for code, title in rows if _ICD_CODE.fullmatch(code))
        _add_icd(imported, file, "publisher of ClaML", "ICD-10", rows_of_codes)
    elif root == "ICD10CM.tabular":
        pairs = ((item.findtext("name", ""), item.findtext("desc", "")) for item in _elements(file, "diag"))
        _add_icd(imported, file, "Centers for Medicare & Medicaid Services", "ICD-10-CM", pairs)
    elif root in _DMD:
        _DMD[root](imported, file)
    else:
        imported.not_read.append(f"{file.name}, line 1: {root} is no file that is known")


def _root_of(file: ReleaseFile) -> str:
    """Return the name of the root element.

    Raises:
        NotARelease: The file is no XML.
    """
    return next(_events(file, "start"))[1].tag.rpartition("}")[2]


def _elements(file: ReleaseFile, tag: str) -> Iterator[Element]:
    """Yield the elements of this name, each forgotten when the next is read."""
    for _, element in _events(file, "end"):
        if element.tag.rpartition("}")[2] == tag:
            yield element
            element.clear()


def _events(file: ReleaseFile, kind: Literal["start", "end"]) -> Iterator[tuple[str, Element]]:
    """Yield the starts or ends of elements, from a parser that is fed in pieces; entities are refused, not expanded."""
    parser: Any = XMLPullParser([kind])
    line = 1
    with closing(file.open()) as content:
        while chunk := content.read(1 << 16):
            if b"<!ENTITY" in chunk:
                raise NotARelease(f"{file.name}, line {line}: entities are not read")
            try:
                parser.feed(chunk)
                yield from parser.read_events()
            except ParseError as error:
                raise NotARelease(f"{file.name}, line {error.position[0]}: {error}") from None
            line += chunk.count(b"\n")


def _rubric(item: Element) -> str:
    rubric = next((part for part in item.iter("Rubric") if part.get("kind") in ("preferredLong", "preferred")), None)
    return " ".join("".join(rubric.itertext()).split()) if rubric is not None else ""


def _read_dmd(imported: Imported, file: ReleaseFile, item: str, code: str, part_of: str) -> None:
    """Read a level of dm+d: the codes of SNOMED CT with what their name says, else what the level above is."""
    number_of_codes = 0
    for element in _elements(file, item):
        name, above = element.findtext("NM", ""), element.findtext(part_of, "")
        members = tuple(ingredient.rxcui for ingredient in read_name(name).ingredients)
        meaning = imported.codes.get(("snomed", above))
        members = members or (meaning.ingredients if meaning is not None else ())
        if members and (identifier := element.findtext(code)):
            meant = Meaning(ingredients=members, by=f"dm+d {edition_of(file)}".rstrip())
            imported.add_code("snomed", identifier, meant)
            imported.add_name(name, meant)
            number_of_codes += 1
    imported.note("NHS Business Services Authority", file, number_of_codes)


_DMD: Final[Mapping[str, Callable[[Imported, ReleaseFile], None]]] = {
    "INGREDIENT_SUBSTANCES": partial(_read_dmd, item="ING", code="ISID", part_of=""),
    "VIRTUAL_THERAPEUTIC_MOIETIES": partial(_read_dmd, item="VTM", code="VTMID", part_of=""),
    "VIRTUAL_MED_PRODUCTS": partial(_read_dmd, item="VMP", code="VPID", part_of="VTMID"),
    "ACTUAL_MEDICINAL_PRODUCTS": partial(_read_dmd, item="AMP", code="APID", part_of="VPID"),
    "VIRTUAL_MED_PRODUCT_PACK": partial(_read_dmd, item="VMPP", code="VPPID", part_of="VPID"),
    "ACTUAL_MEDICINAL_PROD_PACKS": partial(_read_dmd, item="AMPP", code="APPID", part_of="VPPID"),
}
"""Reader by the root element of each file of dm+d."""


def _read_unii(imported: Imported, file: ReleaseFile) -> None:
    """Substances of the FDA by their code of RxNorm, else by their name."""
    number_of_codes = 0
    with closing(file.lines("utf-8")) as lines:
        for row in table_of(file.name, lines, ("UNII",), "\t"):
            name = (row.get("Display Name") or row.get("PT", "")).lower()
            ingredient = INGREDIENTS.get(row.get("RXCUI", "")) or INGREDIENT_BY_NAME.get(name)
            if ingredient is not None:
                for system in _UNII:
                    imported.add_code(system, row["UNII"], Meaning(ingredients=(ingredient.rxcui,), by="UNII"))
                number_of_codes += 1
    imported.note("U.S. Food and Drug Administration", file, number_of_codes)


def _read_cvx(imported: Imported, file: ReleaseFile) -> None:
    """Vaccines by the name that the CDC gives a code, where our tables do not have it."""
    number_of_codes = 0
    for _, cells in cells_of(file, "|", 5, 8):
        code = cells[0].strip().lstrip("0").zfill(2)
        families = families_of_words(cells[2], is_vaccine=True) or families_of_words(cells[1], is_vaccine=True)
        if families and not families_of_code(_CVX, code):
            imported.add_code("cvx", code, Meaning(vaccines=tuple(sorted(families)), by=f"CVX {cells[-1].strip()}"))
            number_of_codes += 1
    imported.note("Centers for Disease Control and Prevention", file, number_of_codes)


def _read_table(imported: Imported, file: ReleaseFile) -> None:
    """Read a table of the ATC, the code list of ICD-10-AM, or the site's own codes and names."""
    header = header_of(file)
    if {"atc_code", "atc_name"} <= header:
        _read_atc(imported, file)
    elif set(_ICD10_AM) <= header:
        with closing(file.lines()) as lines:
            rows = ((row["code_id"], row["ascii_desc"]) for row in table_of(file.name, lines, _ICD10_AM))
            _add_icd(imported, file, "IHACPA", "ICD-10-AM", rows)
    elif header and header <= set(SITE_COLUMNS):
        read_site(imported, file)
    else:
        imported.not_read.append(
            f"{file.name}, line 1: no table that is known; of the site's own: {', '.join(SITE_COLUMNS)}"
        )


_ICD10_AM: Final = ("code_id", "ascii_desc")
"""Columns of the electronic code list of the Independent Health and Aged Care Pricing Authority."""
READERS: Final[tuple[tuple[re.Pattern[str], Reader], ...]] = (
    (re.compile(r"^Loinc(?:TableCore)?\.csv"), _read_loinc),
    (re.compile(r"^RXNCONSO\.RRF"), _read_rxnorm),
    (re.compile(r"^RXNREL\.RRF"), _read_rxnorm_relations),
    (re.compile(r"^RXNSAT\.RRF"), _read_rxnorm_attributes),
    (re.compile(r"^RXNCUI\.RRF"), _read_rxnorm_history),
    (re.compile(r"^icd10cm[_-](?:codes|order)[\w-]*\.txt", re.IGNORECASE), _read_icd10cm),
    (re.compile(r"^icd10\w{2,7}syst_kodes[\w-]*\.txt|^icd10\w{2,7}syst_codes[\w-]*\.txt"), _read_icd10gm),
    (re.compile(r"^icd10\w{2,7}alpha\w{0,16}edvtxt[\w-]*\.txt"), _read_icd10gm_words),
    (re.compile(r"^UNII_Records\w*\.txt"), _read_unii),
    (re.compile(r"^cvx\.txt", re.IGNORECASE), _read_cvx),
    (re.compile(r"^[\w .-]+\.xml", re.IGNORECASE), _read_xml),
    (re.compile(r"^[\w .()-]+\.csv", re.IGNORECASE), _read_table),
)
"""What reads a file, by its name, in the order in which files are read: products before what is said of them."""


def order_of(name: str) -> int:
    """Return the place of the reader of a file; of dm+d the substances come before what is made of them."""
    reader = next((number for number, (pattern, _) in enumerate(READERS) if pattern.fullmatch(name)), len(READERS))
    level = next((level for level, part in enumerate(_DMD_FILES) if name.startswith(part)), 0)
    return reader * len(_DMD_FILES) + level


_DMD_FILES: Final = ("f_ingredient", "f_vtm", "f_vmp2", "f_vmpp", "f_amp2", "f_ampp")
