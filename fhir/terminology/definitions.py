"""What a group, an allergen, a vaccine, an ingredient or an analyte is, by definition beside the lists of the tables.

A definition is a row: kind, key, code system, and what it holds there. Of SNOMED CT it is a list of concepts, each with
everything below it; a minus sign takes a concept and everything below it away (`84114007;-56675007`). Of ICD-10 it is
codes and ranges (`I50;I11.0;N17-N19`), of the ATC subtrees (`J01CA;J01CF`), of RxNorm ingredients (`723;733`), of LOINC
the parts of a code: component, property, time, system and scale, each with `*` for any (`Potassium:*:Pt:Ser/Plas:Qn`).
A row of the system `ecl` holds an expression of SNOMED CT that only a terminology server can expand; we do not read it.
Our own are in tables/definitions.csv; a site adds a table with the same columns. A row of mode `instead` takes the
place of our list, one of mode `beside` adds to it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

from fhir.terminology.medications import table_rows

COLUMNS: Final = ("kind", "key", "system", "definition", "mode", "source")
Kind = Literal["group", "drug", "allergen", "vaccine", "analyte"]
SYSTEMS: Final = ("snomed", "icd10", "atc", "rxnorm", "loinc", "ecl")
_CONCEPTS: Final = re.compile(r"\d{6,18}(?:;-?\d{6,18})*")
_ICD: Final = re.compile(r"[A-Z]\d[0-9A-Z][0-9A-Z.]{0,5}(?:-[A-Z]\d[0-9A-Z][0-9A-Z.]{0,5})?")


class Definition(Struct, frozen=True):
    """One row; `instead` says that it takes the place of our list."""

    kind: Kind
    key: str
    system: str
    text: str
    instead: bool = False

    @property
    def roots(self) -> frozenset[str]:
        """The concepts of SNOMED CT that are held with everything below them."""
        return frozenset(code for code in self.text.split(";") if not code.startswith("-"))

    @property
    def without(self) -> frozenset[str]:
        """The concepts of SNOMED CT that are taken away with everything below them."""
        return frozenset(code[1:] for code in self.text.split(";") if code.startswith("-"))

    @property
    def constraint(self) -> str:
        """The same as an expression that a terminology server expands.

        >>> Definition("group", "hf", "snomed", "84114007;-56675007").constraint
        '(<< 84114007) MINUS (<< 56675007)'
        """
        if self.system == "ecl":
            return self.text
        without = below(self.without)
        return f"({below(self.roots)}) MINUS ({without})" if without else below(self.roots)


class WrongDefinition(ValueError):
    """A definition cannot be read; the message says what to write."""


def below(codes: Iterable[str]) -> str:
    """Return the expression of concepts of SNOMED CT with everything below them."""
    return " OR ".join(f"<< {code}" for code in sorted(codes))


_OF_COLUMNS: Final[tuple[tuple[Kind, str, str, str, str], ...]] = (
    ("allergen", "atc", "allergen_classes.csv", "allergen_class", "atc"),
    ("vaccine", "snomed", "vaccine_families.csv", "family", "definition"),
    ("analyte", "loinc", "analytes.csv", "key", "parts"),
)
"""Kind and system of the definitions that are a column of a table, with the table, its key and the column."""


def own_definitions() -> list[Definition]:
    """Return the definitions of tables/definitions.csv and of the columns of other tables.

    A group without a root that is safe stands in the table with the system `none` and the reason.
    """
    rows = [definition_of_row(row) for row in table_rows("definitions.csv") if row["system"] != "none"]
    for kind, system, table, key, column in _OF_COLUMNS:
        rows += [Definition(kind, row[key], system, row[column]) for row in table_rows(table) if row[column]]
    return rows


def definition_of_row(row: Mapping[str, str]) -> Definition:
    """Return the definition of a row.

    Raises:
        WrongDefinition: The kind, system or mode is none, or the definition cannot be read.
    """
    kind, system, mode = row["kind"], row["system"], row.get("mode") or "beside"
    if kind not in ("group", "drug", "allergen", "vaccine", "analyte"):
        raise WrongDefinition(f"unknown kind {kind!r}: group, drug, allergen, vaccine or analyte")
    if system not in SYSTEMS or mode not in ("beside", "instead"):
        raise WrongDefinition(f"{system!r} with mode {mode!r}: systems are {', '.join(SYSTEMS)}, beside or instead")
    definition = Definition(kind, row["key"], system, row["definition"], mode == "instead")  # type: ignore[arg-type]
    match system:
        case "snomed" if not _CONCEPTS.fullmatch(definition.text):
            raise WrongDefinition(
                f"{definition.text[:60]!r} is not a list of concepts as 84114007;-56675007. An ECL expression has "
                "the system ecl, and is expanded by a terminology server (--from)"
            )
        case "ecl" if not definition.text or kind not in ("group", "drug", "allergen", "vaccine"):
            raise WrongDefinition("an expression is missing, or the kind is none of group, drug, allergen and vaccine")
        case "loinc" if any(part.count(":") != 4 for part in definition.text.split(";")):
            raise WrongDefinition(f"{definition.text!r} is not component:property:time:system:scale")
        case "icd10" if not all(map(_ICD.fullmatch, definition.text.split(";"))):
            raise WrongDefinition(f"{definition.text!r} is neither a code nor a range of ICD-10")
    return definition


def holds(definition: Definition) -> Callable[[str], bool]:
    """Whether a code of ICD-10 (without dots), of the ATC or five parts of LOINC behind colons is in a definition.

    >>> in_range = holds(Definition("group", "hf", "icd10", "I50-I51;I11.0"))
    >>> in_range("I500"), in_range("I110"), in_range("I1100"), in_range("I52")
    (True, True, True, False)
    """
    items = definition.text.split(";")
    if definition.system == "loinc":
        wanted = [item.split(":") for item in items]
        return lambda parts: any(_fits(parts.split(":"), pattern) for pattern in wanted)
    ranges = [item.replace(".", "").partition("-") for item in items]
    return lambda code: any(
        code.startswith(start) if not end else start <= code[: len(start)] and code[: len(end)] <= end
        for start, _, end in ranges
    )


def _fits(parts: list[str], pattern: list[str]) -> bool:
    return all(want in ("*", part) for part, want in zip(parts, pattern, strict=True))
