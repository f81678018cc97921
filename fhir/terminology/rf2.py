"""A snapshot release of SNOMED CT in RF2: what descends from the codes of the tables means what they mean.

A group, an allergen, a drug or a family of vaccines is, of SNOMED CT, the codes of our tables with all that is below
them, but what is below a code that was read and is in none. Findings of an allergy take what they are about from their
causative agent, products their ingredients; a code that was replaced means what replaces it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Final

from fhir.terminology.imported import LONGEST_NAME, Meaning, plain_name

_IS_A: Final = "116680003"
_CAUSATIVE_AGENT: Final = "246075003"
_INGREDIENTS: Final = frozenset({"127489000", "762949000"})
_REPLACED: Final = frozenset({"900000000000526001", "900000000000527005"})  # replaced by, same as
_SHORTEST_NAME: Final = 5
"""Abbreviations have several meanings, those of the tables were read."""
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "sct2_Concept_": ("id", "effectiveTime", "active"),
    "sct2_Relationship_": ("id", "effectiveTime", "active", "moduleId", "sourceId", "destinationId"),
    "sct2_Description_": ("id", "effectiveTime", "active", "moduleId", "conceptId", "languageCode", "typeId", "term"),
    "der2_cRefset_Association": ("id", "effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId"),
}
"""How the names of the files begin that are read, and their columns."""


class NotARelease(ValueError):
    """A file has not the form of its publisher; the message names the file and the line."""


@dataclass(slots=True)
class Release:
    """What of a release is needed to expand the tables, by concept."""

    active: set[str] = field(default_factory=set)
    children: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    agents: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    ingredients: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    replaced: dict[str, str] = field(default_factory=dict)

    def read(self, kind: str, name: str, lines: IO[str]) -> None:
        """Reads a file of this kind, one of `COLUMNS` but descriptions.

        Raises:
            NotARelease: The columns are others, or a line has too few.
        """
        take = {
            "sct2_Concept_": self._concept,
            "sct2_Relationship_": self._relationship,
            "der2_cRefset_Association": self._association,
        }[kind]
        for cells in rows_of(kind, name, lines):
            take(cells)

    def _concept(self, cells: list[str]) -> None:
        self.active.add(cells[0])

    def _relationship(self, cells: list[str]) -> None:
        source, target, kind = cells[4], cells[5], cells[7]
        if kind == _IS_A:
            self.children[target].append(source)
        elif kind == _CAUSATIVE_AGENT:
            self.agents[source].append(target)
        elif kind in _INGREDIENTS:
            self.ingredients[source].append(target)

    def _association(self, cells: list[str]) -> None:
        if cells[4] in _REPLACED:
            self.replaced[cells[5]] = cells[6]

    def below(self, roots: Iterable[str], excluded: frozenset[str]) -> set[str]:
        """The roots that the release has, with all that is below them but for what is excluded and below that."""
        members: set[str] = set()
        waiting = [root for root in roots if root in self.active]
        while waiting:
            concept = waiting.pop()
            if concept not in members and concept not in excluded:
                members.add(concept)
                waiting += self.children.get(concept, ())
        return members


def rows_of(kind: str, name: str, lines: IO[str]) -> Iterator[list[str]]:
    """The active rows of a file.

    Raises:
        NotARelease: The columns are others, or a line has too few.
    """
    columns = COLUMNS[kind]
    header = next(lines, "").rstrip("\r\n").split("\t")
    if tuple(header[: len(columns)]) != columns:
        raise NotARelease(f"{name}, line 1: the columns are {', '.join(header[:8])}, not {', '.join(columns)} …")
    for number, line in enumerate(lines, 2):
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) != len(header):
            raise NotARelease(f"{name}, line {number}: {len(cells)} columns, not {len(header)}")
        if cells[2] == "1":
            yield cells


@dataclass(frozen=True, slots=True)
class Roots:
    """The codes of our tables: by group, ingredient (of substances), class of allergens and family of vaccines."""

    groups: Mapping[str, frozenset[str]]
    ingredients: Mapping[str, frozenset[str]]
    allergens: Mapping[str, frozenset[str]]
    vaccines: Mapping[str, frozenset[str]]
    in_none: frozenset[str]


def expand(release: Release, roots: Roots) -> dict[str, Meaning]:
    """What each concept of the release means, by the tables and the hierarchy."""
    groups = _by_concept(release, roots.groups, roots.in_none)
    substances = _by_concept(release, roots.ingredients, frozenset())
    allergens = _by_concept(release, roots.allergens, frozenset())
    vaccines = _by_concept(release, roots.vaccines, frozenset())

    def of_targets(concept: str, attributes: Mapping[str, list[str]], meant: Mapping[str, set[str]]) -> set[str]:
        return set().union(*(meant.get(target, set()) for target in attributes.get(concept, ())))

    meanings = {}
    for concept in {*groups, *substances, *allergens, *vaccines, *release.agents, *release.ingredients}:
        is_allergy = concept in release.agents
        meaning = Meaning(
            groups=_ordered(groups.get(concept, ())),
            ingredients=_ordered(substances.get(concept, set()) | of_targets(concept, release.ingredients, substances)),
            allergies=_ordered(of_targets(concept, release.agents, substances)) if is_allergy else (),
            allergens=_ordered(allergens.get(concept, set()) | of_targets(concept, release.agents, allergens)),
            vaccines=_ordered(vaccines.get(concept, ())),
        )
        if meaning != Meaning() and concept in release.active:
            meanings[concept] = meaning
    for old, new in release.replaced.items():
        if old not in meanings and new in meanings:
            meanings[old] = meanings[new]
    return meanings


def _by_concept(release: Release, roots: Mapping[str, frozenset[str]], excluded: frozenset[str]) -> dict[str, set[str]]:
    by_concept: defaultdict[str, set[str]] = defaultdict(set)
    for name, codes in roots.items():
        for concept in release.below(codes, excluded - codes):
            by_concept[concept].add(name)
    return by_concept


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def names_of(
    files: Iterable[tuple[str, IO[str]]], meanings: Mapping[str, Meaning], seen: Callable[[], None]
) -> dict[str, Meaning]:
    """What each whole name of a concept means, in the languages of the release; a name of two meanings means none."""
    names: dict[str, Meaning | None] = {}
    for name, lines in files:
        for cells in rows_of("sct2_Description_", name, lines):
            seen()
            meaning = meanings.get(cells[4])
            plain = plain_name(cells[7])
            if meaning is not None and _SHORTEST_NAME <= len(plain) <= LONGEST_NAME:
                names[plain] = meaning if names.get(plain, meaning) == meaning else None
    return {name: meaning for name, meaning in names.items() if meaning is not None}
