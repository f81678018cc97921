"""By what a file of a licensed release is known: its header or form, as the publishers make them."""

import re
from typing import Final

FORMS: Final = {
    "SNOMED CT in RF2": re.compile(rb"^(?:\xef\xbb\xbf)?id\teffectiveTime\tactive\tmoduleId\t", re.MULTILINE),
    "names of SNOMED CT with their tags": re.compile(
        rb"\w \((?:disorder|morphologic abnormality|qualifier value|regime/therapy|body structure)\)[\",;\t\r\n]"
    ),
    "LOINC": re.compile(rb"^\"?LOINC_NUM\"?,\"?COMPONENT\"?,", re.MULTILINE),
    "RRF": re.compile(rb"^(?:[^|\n]{0,200}\|){14,18}\r?$", re.MULTILINE),
    "ClaML": re.compile(rb"<ClaML[ >]"),
    "the tabular list of ICD-10-CM": re.compile(rb"<ICD10CM\.tabular>"),
    "NHS dm+d": re.compile(rb"<(?:VIRTUAL_MED_PRODUCTS|VIRTUAL_THERAPEUTIC_MOIETIES|ACTUAL_MEDICINAL_PRODUCTS|"
                           rb"VIRTUAL_MED_PRODUCT_PACK|ACTUAL_MEDICINAL_PROD_PACKS|INGREDIENT_SUBSTANCES)[ >]"),
    "the ATC with its names": re.compile(rb"^\"?atc_code\"?,\"?atc_name\"?", re.MULTILINE | re.IGNORECASE),
    "a compiled index": re.compile(rb"^SQLite format 3\0"),
}  # fmt: skip
"""What is never in the package: the site's own releases, and what is compiled of them."""
DATA: Final = (".csv", ".tsv", ".txt", ".json", ".xml", ".rrf", ".idx", ".gz", ".sqlite3")


def licensed_in(name: str, content: bytes) -> list[str]:
    """Which forms of licensed releases a data file has; [] for code and pages, which name those forms."""
    if not name.lower().endswith(DATA):
        return []
    return [form for form, pattern in FORMS.items() if pattern.search(content)]
