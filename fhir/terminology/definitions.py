"""What a group, an allergen, a vaccine, an ingredient or an analyte is, by definition beside the lists of the tables.

A definition is a row: kind, key, code system, and what it holds there. Of SNOMED CT it is a small part of the
Expression Constraint Language: `<< 84114007 MINUS << 56675007`, with OR, AND, parentheses, `<` without the concept
itself, `^` for the members of a reference set and one attribute behind a colon, with its value behind `=`. Of ICD-10
it is codes and ranges (`I50;I11.0;N17-N19`), of the ATC subtrees (`J01CA;J01CF`), of RxNorm ingredients (`723;733`),
of LOINC the parts of a code: component, property, time, system and scale, each with `*` for any
(`Potassium:*:Pt:Ser/Plas:Qn`), several behind `;`. Our own are in tables/definitions.csv; a site adds a table with
the same columns. A row of mode `instead` takes the place of our list, one of mode `beside` adds to it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, Protocol

from msgspec import Struct

from fhir.terminology.medications import table_rows

COLUMNS: Final = ("kind", "key", "system", "definition", "mode", "source")
Kind = Literal["group", "drug", "allergen", "vaccine", "analyte"]
SYSTEMS: Final = ("snomed", "icd10", "atc", "rxnorm", "loinc")
_TOKEN: Final = re.compile(r"\s*(<<|<|\^|[():=*]|OR\b|AND\b|MINUS\b|\d{6,18}|\|[^|]{0,300}\|)")


class Definition(Struct, frozen=True):
    """One row; `instead` says that it takes the place of our list."""

    kind: Kind
    key: str
    system: str
    text: str
    instead: bool = False


class WrongDefinition(ValueError):
    """A definition cannot be read; the message says where in it."""


class Hierarchy(Protocol):
    """What a definition asks of a release of SNOMED CT."""

    def below(self, roots: Iterable[str], excluded: frozenset[str]) -> set[str]:
        """Return the roots with everything below them that is not below what is excluded."""

    def with_attribute(self, attribute: str, targets: set[str]) -> set[str]:
        """Return the concepts that have the attribute with one of these values."""

    def members_of(self, reference_set: str) -> set[str]:
        """Return the members of a reference set."""

    def all_concepts(self) -> set[str]:
        """Every active concept: what `*` holds."""


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
        raise WrongDefinition(f"there is no kind {kind!r}: group, drug, allergen, vaccine or analyte")
    if system not in SYSTEMS or mode not in ("beside", "instead"):
        raise WrongDefinition(f"{system!r} with mode {mode!r}: systems are {', '.join(SYSTEMS)}, beside or instead")
    definition = Definition(kind, row["key"], system, row["definition"], mode == "instead")  # type: ignore[arg-type]
    match system:
        case "snomed":
            roots_of(definition.text)
        case "loinc" if any(part.count(":") != 4 for part in definition.text.split(";")):
            raise WrongDefinition(f"{definition.text!r} is not component:property:time:system:scale")
        case "icd10" if not all(map(_ICD.fullmatch, definition.text.split(";"))):
            raise WrongDefinition(f"{definition.text!r} is no code and no range of ICD-10")
    return definition


def roots_of(expression: str) -> frozenset[str]:
    """Return the identifiers that an expression names.

    Raises:
        WrongDefinition: It cannot be read.

    >>> sorted(roots_of("<< 84114007 |Failure| MINUS (56675007 OR < 48447003)"))
    ['48447003', '56675007', '84114007']
    """
    _Reader(expression).check()
    return frozenset(token for token in _tokens(expression) if token.isdigit())


def concepts_of(expression: str, release: Hierarchy, excluded: frozenset[str]) -> set[str]:
    """Find the active concepts of a release that an expression holds; what is in `excluded` and below it is in none."""
    return _Reader(expression).evaluate(release, excluded)


def _tokens(expression: str) -> list[str]:
    tokens, position = [], 0
    while position < len(expression.rstrip()):
        match = _TOKEN.match(expression, position)
        if match is None:
            raise WrongDefinition(f"at {expression[position : position + 20]!r} of {expression!r}")
        position = match.end()
        if not match[1].startswith("|"):
            tokens.append(match[1])
    return tokens


class _Reader:
    """Reads an expression from the left to the right; OR, AND and MINUS bind alike."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = _tokens(expression)
        self._release: Hierarchy | None = None
        self._excluded: frozenset[str] = frozenset()

    def check(self) -> None:
        """Nothing where it can be read."""
        self._whole()

    def evaluate(self, release: Hierarchy, excluded: frozenset[str]) -> set[str]:
        """Return the concepts that it holds."""
        self._release, self._excluded = release, excluded
        return self._whole()

    def _whole(self) -> set[str]:
        concepts = self._sum()
        if self._tokens:
            raise WrongDefinition(f"at {self._tokens[0]!r} of {self._expression!r}")
        return concepts

    def _sum(self) -> set[str]:
        concepts = self._refined()
        while self._tokens and self._tokens[0] in ("OR", "AND", "MINUS"):
            operator, other = self._tokens.pop(0), self._refined()
            match operator:
                case "OR":
                    concepts |= other
                case "AND":
                    concepts &= other
                case _:
                    concepts -= other
        return concepts

    def _refined(self) -> set[str]:
        concepts = self._operand()
        if self._tokens[:1] == [":"]:
            self._tokens.pop(0)
            attribute = self._next()
            if not attribute.isdigit() or self._next() != "=":
                raise WrongDefinition(f"an attribute with = and its value is missing in {self._expression!r}")
            targets = self._operand()
            concepts &= self._release.with_attribute(attribute, targets) if self._release is not None else set()
        return concepts

    def _operand(self) -> set[str]:
        first = self._next()
        if first == "(":
            concepts = self._sum()
            if self._next() != ")":
                raise WrongDefinition(f"a parenthesis is not closed in {self._expression!r}")
            return concepts
        if first == "*":
            return self._release.all_concepts() if self._release is not None else set()
        operator = first if first in ("<<", "<", "^") else ""
        concept = self._next() if operator else first
        if not concept.isdigit():
            raise WrongDefinition(f"at {concept!r} of {self._expression!r}")
        return self._concepts(self._release, operator, concept) if self._release is not None else set()

    def _concepts(self, release: Hierarchy, operator: str, concept: str) -> set[str]:
        if operator == "^":
            return release.members_of(concept)
        members = release.below([concept], self._excluded - {concept})
        return members if operator == "<<" else members - {concept} if operator == "<" else members & {concept}

    def _next(self) -> str:
        if not self._tokens:
            raise WrongDefinition(f"{self._expression!r} ends too early")
        return self._tokens.pop(0)


_ICD: Final = re.compile(r"[A-Z]\d[0-9A-Z][0-9A-Z.]{0,5}(?:-[A-Z]\d[0-9A-Z][0-9A-Z.]{0,5})?")


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
