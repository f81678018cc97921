"""The families of vaccines that names, brands and codes mean: "Tdap" is tetanus, diphtheria and pertussis.

tables/vaccine_families.csv: CVX codes and SNOMED CT codes of severe reactions by family of CDC's CDSi 4.64; brands of
FDA and EMA labels, abbreviations of the ACIP. The name of a disease means its vaccine only where the text says that it
is one ("influenza vaccine", "tetanus shot"), or where the resource is an Immunization.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from fhir.terminology.assertions import AssertedText
from fhir.terminology.conditions import code_system, imported_meaning
from fhir.terminology.imported import meaning_of_code
from fhir.terminology.medication_names import without_accents
from fhir.terminology.medications import CVX_SYSTEMS, drug_system, table_rows
from fhir.terminology.package_tables import shared

_WORD = re.compile(r"[a-z0-9]+")
_VACCINE = re.compile(
    r"vacc?in|vaksin|vakzin|vacuna|impf|immuni[sz]ation|\b(?:shots?|jabs?|boosters?|toxoids?|vax)\b", re.IGNORECASE
)
# Antibodies are no vaccine: "tetanus immune globulin", HBIG.
_GLOBULIN = re.compile(r"globulin|\b(?:hbig|tig|rig|hrig|vzig|ivig|ig)\b|\bmonoclonal\b", re.IGNORECASE)
_COMPOUND = re.compile(r"(\w{4,40}?)(?:vacc?in|vaksin|impf)", re.IGNORECASE)  # "Influenzavaccin", "Grippeimpfung"
_LONGEST_TEXT = 1000


def families_of_code(system: str | None, code: str | None) -> frozenset[str]:
    """Return the families of a code of CVX or the ATC, or of the SNOMED CT code of a severe reaction to one.

    >>> sorted(families_of_code("http://hl7.org/fhir/sid/cvx", "3"))
    ['Measles', 'Mumps', 'Rubella']
    >>> sorted(families_of_code("http://www.whocc.no/atc", "J07AM51"))
    ['Diphtheria', 'Tetanus']
    """
    code = (code or "").strip()
    if system in CVX_SYSTEMS:
        code = code.lstrip("0").zfill(2)
        families, imported = _BY_CVX.get(code, frozenset()), meaning_of_code("cvx", code)
    elif drug_system(system) == "atc":
        nothing, imported = frozenset[str](), imported_meaning(system, code)
        families = _BY_ATC.get(code[:_ATC_GROUP], nothing) | _BY_ATC.get(code, nothing)
    else:
        families = _BY_SNOMED.get(code, frozenset()) if code_system(system) == "snomed" else frozenset[str]()
        imported = imported_meaning(system, code)
    return families if imported is None else families | frozenset(imported.vaccines)


def families_of_words(words: str, *, is_vaccine: bool = False) -> frozenset[str]:
    """Return the families that a text names; with `is_vaccine` the name of a disease alone is that of its vaccine.

    >>> sorted(families_of_words("Shingrix")), sorted(families_of_words("influenza"))
    (['Zoster'], [])
    >>> sorted(families_of_words("tetanus shot"))
    ['Tetanus']
    """
    if len(words) > _LONGEST_TEXT:
        return frozenset()
    words = AssertedText(words, of="vaccine" if is_vaccine else "allergy").without_denied(words)
    names_vaccine = _VACCINE.search(words) or (is_vaccine and not _GLOBULIN.search(words))
    names = _NAMES | _DISEASES if names_vaccine else _NAMES
    spelled = _WORD.findall(without_accents(" ".join((words, *_COMPOUND.findall(words)))))
    return frozenset().union(*_phrases(spelled, names))


def _phrases(spelled: list[str], names: Mapping[str, frozenset[str]]) -> Iterator[frozenset[str]]:
    """Yield the families of each name in the words, longest first: "meningococcal B" is not meningococcal ACWY too."""
    position = 0
    while position < len(spelled):
        for length in range(_LONGEST_NAME, 0, -1):
            families = names.get(" ".join(spelled[position : position + length]))
            if families is not None:
                yield families
                position += length - 1
                break
        position += 1


def _read(column: str) -> Mapping[str, frozenset[str]]:
    families: dict[str, frozenset[str]] = {}
    for row in table_rows("vaccine_families.csv"):
        for key in filter(None, row[column].split(";")):
            families[key] = shared(families.get(key, frozenset()) | {row["family"]})
    return families


_BY_CVX: Final = _read("cvx")
_BY_SNOMED: Final = _read("snomed")
_BY_ATC: Final = _read("atc")
_ATC_GROUP: Final = 5
"""So many letters has a group of the ATC whose codes are all of one family: J07BB."""
_NAMES: Final = dict(_read("names"))
_DISEASES: Final = dict(_read("diseases"))
_LONGEST_NAME: Final = max(name.count(" ") for name in (*_NAMES, *_DISEASES)) + 1
VACCINE_FAMILIES: Final = frozenset(row["family"] for row in table_rows("vaccine_families.csv"))
"""Every family of vaccines."""
