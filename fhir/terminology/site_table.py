"""Reads a site's own tables: what its codes and names mean, what must not be read, and its definitions.

A meaning is named by the id or the name that our tables have; a name that is in none is told with the nearest ones. All
rows that cannot be read are told at once, each with its line.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from difflib import get_close_matches
from functools import cache
from itertools import chain
from typing import Final

from msgspec.structs import replace

from fhir.terminology.allergens import ALLERGEN_CLASSES, allergen_of_words
from fhir.terminology.analytes import ANALYTES, analyte_of_name
from fhir.terminology.conditions import CONDITION_GROUPS, code_system
from fhir.terminology.definitions import COLUMNS as DEFINITION_COLUMNS
from fhir.terminology.definitions import WrongDefinition, definition_of_row
from fhir.terminology.imported import Meaning, plain_address
from fhir.terminology.medication_names import read_name
from fhir.terminology.medications import INGREDIENT_BY_NAME, drug_system
from fhir.terminology.phrases import groups_in_words
from fhir.terminology.release_files import Imported, ReleaseFile, header_of, rows_of
from fhir.terminology.rf2 import NotARelease
from fhir.terminology.vaccines import VACCINE_FAMILIES, families_of_words

SITE_COLUMNS: Final = ("system", "code", "name", "group", "drug", "allergen", "vaccine", "analyte", "not_read")
KINDS: Final = ("group", "drug", "allergen", "vaccine", "analyte")
_MOST_FAULTS: Final = 20
_MOST_NEAR: Final = 3


def is_definitions(file: ReleaseFile) -> bool:
    """Whether a file is a table of a site's definitions."""
    is_table = file.name.lower().endswith(".csv")
    return is_table and {"kind", "key", "system", "definition"} <= header_of(file) <= set(DEFINITION_COLUMNS)


def read_definitions(imported: Imported, file: ReleaseFile) -> None:
    """Add the definitions of a site; one for the same key and system takes the place of ours.

    Raises:
        NotARelease: Definitions cannot be read, or their keys are in no table of ours.
    """

    def read(row: Mapping[str, str], _: str) -> None:
        definition = definition_of_row(row)
        definition = replace(definition, key=key_of(definition.kind, definition.key))
        if definition.kind == "drug":
            definition = replace(definition, key=INGREDIENT_BY_NAME[definition.key].rxcui)
        same = (definition.kind, definition.key, definition.system)
        others = [other for other in imported.definitions if (other.kind, other.key, other.system) != same]
        imported.definitions = [*others, definition]

    _read_rows(imported, file, ("kind", "key", "system", "definition"), ("mode",), read)


def read_site(imported: Imported, file: ReleaseFile) -> None:
    """Add the codes and names of a site.

    Raises:
        NotARelease: Rows cannot be read, or a code or name is there twice.
    """
    rows: dict[tuple[str, str], tuple[Meaning, str]] = {}

    def read(row: Mapping[str, str], where: str) -> None:
        meaning = _meaning_of_row(row, where)
        system = row.get("system", "")
        short = code_system(system) or drug_system(system) or plain_address(system)
        for key in ((short, row.get("code", "")), ("name", row.get("name", "").lower())):
            other, line = rows.setdefault(key, (meaning, where)) if key[1] else (meaning, where)
            if replace(other, by="") != replace(meaning, by=""):
                raise WrongDefinition(f"{key[1]!r} means something else in {line}")
        if row.get("code"):
            imported.add_code(short, row["code"], meaning)
        if row.get("name"):
            imported.add_name(row["name"], meaning, of_site=True)

    _read_rows(imported, file, (), SITE_COLUMNS, read)


def _read_rows(
    imported: Imported,
    file: ReleaseFile,
    needed: tuple[str, ...],
    optional: tuple[str, ...],
    read: Callable[[Mapping[str, str], str], None],
) -> None:
    """Read each row; NotARelease with every fault that was found, each with its line."""
    faults, number_of_rows = [], 0
    with closing(rows_of(file, needed, ",", optional=optional)) as rows:
        for number, cells in enumerate(rows, 2):
            where = f"{file.name}, line {number}"
            try:
                read(dict(zip((*needed, *optional), cells, strict=True)), where)
            except WrongDefinition as fault:
                faults.append(f"{where}: {fault}")
            number_of_rows += 1
    if faults:
        more = [f"and {len(faults) - _MOST_FAULTS} more"] if len(faults) > _MOST_FAULTS else []
        raise NotARelease("\n".join([*faults[:_MOST_FAULTS], *more]))
    imported.note("this site", file, number_of_rows)


def _meaning_of_row(row: Mapping[str, str], where: str) -> Meaning:
    if not row.get("code") and not row.get("name"):
        raise WrongDefinition("neither a code nor a name")
    meant = {kind: row.get(kind, "") for kind in KINDS}
    not_read = row.get("not_read", "").lower()
    if not_read not in ("", "no", "yes", "1", "true"):
        raise WrongDefinition(f"not_read is {not_read[:20]!r}: write yes, or leave it empty")
    if not_read not in ("", "no"):
        if any(meant.values()):
            raise WrongDefinition("it says what it means, and that it is not read")
        return Meaning(nothing=True, by=where)
    return meaning_in_words(meant, where)


def meaning_in_words(meant: Mapping[str, str], by: str) -> Meaning:
    """Return the meaning that ids or names of our tables give, by kind and separated by semicolons.

    Raises:
        WrongDefinition: A name is in no table, or there is none.
    """
    keys = {kind: tuple(chain.from_iterable(_keys_of(kind, name) for name in _names(meant[kind]))) for kind in meant}
    if not any(keys.values()):
        raise WrongDefinition(f"none of {', '.join(KINDS)} says what it means")
    return Meaning(
        groups=keys.get("group", ()),
        ingredients=tuple(INGREDIENT_BY_NAME[name].rxcui for name in keys.get("drug", ())),
        allergens=keys.get("allergen", ()),
        vaccines=keys.get("vaccine", ()),
        analyte=next(iter(keys.get("analyte", ())), ""),
        by=by,
    )


def _names(column: str) -> list[str]:
    return [name.strip() for name in column.split(";") if name.strip()]


def _keys_of(kind: str, name: str) -> tuple[str, ...]:
    """Return the ids that a name has in the words of the charts; else the one of `key_of`.

    A title of a group has what its words mean, too: breast cancer is a cancer.

    >>> _keys_of("drug", "Paracetamol"), _keys_of("vaccine", "MMR"), _keys_of("group", "Hypothyroidism")
    (('acetaminophen',), ('Measles', 'Mumps', 'Rubella'), ('thyroid_hypo',))
    """
    keys: tuple[str, ...] = ()
    title_of = _keys_of_kinds()[kind].get(name.lower())
    if title_of is None or (kind == "group" and name.lower() not in CONDITION_GROUPS):
        keys = tuple(_IN_WORDS[kind](name))
    return keys if keys and title_of in (None, *keys) else (key_of(kind, name),)


def _one_class(words: str) -> frozenset[str]:
    allergen = allergen_of_words(words)
    return allergen.allergen_classes if len(allergen.allergen_classes) == 1 else frozenset()


def _groups_affirmed(words: str) -> Iterable[str]:
    assertions = groups_in_words(words)
    return (row.group for row in assertions if row.assertion.polarity == "affirmed" and row.assertion.is_of_patient)


_IN_WORDS: Final[Mapping[str, Callable[[str], Iterable[str]]]] = {
    "group": _groups_affirmed,
    "drug": lambda words: (ingredient.name for ingredient in read_name(words).ingredients),
    "allergen": _one_class,
    "vaccine": lambda words: sorted(families_of_words(words, is_vaccine=True)),
    "analyte": lambda words: filter(None, [analyte_of_name(words)]),
}


def key_of(kind: str, name: str) -> str:
    """Return the id in our tables of what a name or id of this kind stands for.

    Raises:
        WrongDefinition: It is in no table; the message has the nearest ones.

    >>> key_of("group", "Heart failure"), key_of("analyte", "Potassium"), key_of("drug", "Ibuprofen")
    ('hf', 'potassium', 'ibuprofen')
    """
    keys = _keys_of_kinds()[kind]
    key = keys.get(name.strip().lower())
    if key is None:
        containing = (word for word in keys if name.lower() in word)
        near = dict.fromkeys(keys[word] for word in (*containing, *get_close_matches(name.lower(), keys, _MOST_NEAR)))
        nearest = f"; near are {', '.join([*near][:_MOST_NEAR])}" if near else ""
        raise WrongDefinition(f"there is no {kind} {name[:60]!r}{nearest}")
    return key


@cache
def _keys_of_kinds() -> Mapping[str, Mapping[str, str]]:
    """Return the ids of each kind by id, other id and name in lower case; of several with a name the first counts."""
    groups = [(name, group.key) for name, group in CONDITION_GROUPS.items()]
    names_of_groups = [(group.meaning, group.key) for group in CONDITION_GROUPS.values()]
    classes = [(key, key) for key in ALLERGEN_CLASSES]
    analytes = [(key, key) for key in ANALYTES]
    return {
        "group": _first_of_each([*groups, *names_of_groups]),
        "drug": _first_of_each((name, name) for name in INGREDIENT_BY_NAME),
        "allergen": _first_of_each([*classes, *((row.name, key) for key, row in ALLERGEN_CLASSES.items())]),
        "vaccine": _first_of_each((family, family) for family in sorted(VACCINE_FAMILIES)),
        "analyte": _first_of_each([*analytes, *((row.words, key) for key, row in ANALYTES.items())]),
    }


def _first_of_each(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    keys: dict[str, str] = {}
    for name, key in pairs:
        keys.setdefault(name.lower(), key)
    return keys
