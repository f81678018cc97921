"""A snapshot release of SNOMED CT in RF2: what descends from the codes of the tables means what they mean.

A group, an allergen, a drug or a family of vaccines is, of SNOMED CT, the codes of our tables with all that is below
them, but what is below a code that was read and is in none. Findings of an allergy take what they are about from their
causative agent, products their ingredients; a code that was replaced means what replaces it. A definition
(definitions.py) holds a group by its roots and exclusions, beside the codes of the tables or instead of them.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from fhir.terminology.definitions import Definition, concepts_of, roots_of
from fhir.terminology.imported import LONGEST_NAME, Meaning, plain_name

_IS_A: Final = "116680003"
_CAUSATIVE_AGENT: Final = "246075003"
_INGREDIENTS: Final = frozenset({"127489000", "762949000"})
_REPLACED: Final = frozenset({"900000000000526001", "900000000000527005"})  # replaced by, same as
_MOST_COMPARED: Final = 20_000
"""So many new members have their names compared with our words, which takes 0.3 ms each."""
_SHORTEST_NAME: Final = 5
"""Abbreviations have several meanings, those of the tables were read."""
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "sct2_Concept_": ("id", "effectiveTime", "active"),
    "sct2_Relationship_": ("id", "effectiveTime", "active", "moduleId", "sourceId", "destinationId"),
    "sct2_Description_": ("id", "effectiveTime", "active", "moduleId", "conceptId", "languageCode", "typeId", "term"),
    "der2_cRefset_Association": ("id", "effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId"),
    "der2_Refset_Simple": ("id", "effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId"),
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
    attributes: defaultdict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    """Source and target by attribute, of those that definitions ask for (`wanted`)."""
    reference_sets: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    replaced: dict[str, str] = field(default_factory=dict)
    wanted: frozenset[str] = frozenset()
    """The identifiers that definitions name: of other attributes and reference sets nothing is kept."""

    def read(self, kind: str, name: str, lines: Iterator[str]) -> None:
        """Read a file of this kind, one of `COLUMNS` but descriptions.

        Raises:
            NotARelease: The columns are others, or a line has too few.
        """
        take = {
            "sct2_Concept_": self._concept,
            "sct2_Relationship_": self._relationship,
            "der2_cRefset_Association": self._association,
            "der2_Refset_Simple": self._member,
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
        if kind in self.wanted:
            self.attributes[kind].append((source, target))

    def _member(self, cells: list[str]) -> None:
        if cells[4] in self.wanted:
            self.reference_sets[cells[4]].add(cells[5])

    def _association(self, cells: list[str]) -> None:
        if cells[4] in _REPLACED:
            self.replaced[cells[5]] = cells[6]

    def with_attribute(self, attribute: str, targets: set[str]) -> set[str]:
        """Return the active concepts that have the attribute with one of these values."""
        return {source for source, target in self.attributes.get(attribute, ()) if target in targets} & self.active

    def members_of(self, reference_set: str) -> set[str]:
        """Return the active members of a reference set."""
        return self.reference_sets.get(reference_set, set()) & self.active

    def all_concepts(self) -> set[str]:
        """Every active concept."""
        return set(self.active)

    def below(self, roots: Iterable[str], excluded: frozenset[str]) -> set[str]:
        """Return the active roots with all that is active below them, but for what is excluded and below that."""
        members: set[str] = set()
        waiting = list(roots)
        while waiting:
            concept = waiting.pop()
            if concept not in members and concept not in excluded and concept in self.active:
                members.add(concept)
                waiting += self.children.get(concept, ())
        return members


def rows_of(kind: str, name: str, lines: Iterator[str]) -> Iterator[list[str]]:
    """Yield the active rows of a file.

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
    """The codes of our tables by kind of meaning and key (of ingredients: of substances), and the definitions."""

    by_kind: Mapping[str, Mapping[str, frozenset[str]]]
    in_none: frozenset[str]
    definitions: Sequence[Definition] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """A code of which the tables and the release say another thing; `how` says what.

    "new" (below the codes of our table or in the definition, and not in our table), "outside the definition" (in our
    table alone), "not active" (in our table), "no such root" (named by the definition, not active in the release), "its
    name means others" (new, and its name in our words means other groups alone).
    """

    kind: str
    key: str
    code: str
    how: str


@dataclass(slots=True)
class Expansion:
    """What each concept of a release means, and where that differs from our tables."""

    meanings: dict[str, Meaning]
    differences: list[Difference]


def expand(release: Release, roots: Roots) -> Expansion:
    """Return what each concept of the release means, by the tables, the definitions and the hierarchy."""
    differences: list[Difference] = []
    by_kind = {kind: _by_concept(release, roots, kind, differences) for kind in roots.by_kind}
    groups, substances, allergens, vaccines = (by_kind[kind] for kind in ("group", "drug", "allergen", "vaccine"))

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
            ours = roots.by_kind["group"]
            differences += [
                Difference("group", key, old, "new") for key in meanings[new].groups if old not in ours[key]
            ]
    return Expansion(meanings, differences)


def _by_concept(release: Release, roots: Roots, kind: str, differences: list[Difference]) -> dict[str, set[str]]:
    """Return each concept's keys and what differs of it; what was read and is in none excludes from groups only."""
    excluded = roots.in_none if kind == "group" else frozenset()
    defined: defaultdict[str, list[Definition]] = defaultdict(list)
    for definition in roots.definitions:
        if (definition.kind, definition.system) == (kind, "snomed"):
            defined[definition.key].append(definition)
    by_concept: defaultdict[str, set[str]] = defaultdict(set)
    for key, codes in {**dict.fromkeys(defined, frozenset[str]()), **roots.by_kind[kind]}.items():
        members = _defined(release, defined[key], excluded, differences) if key in defined else set()
        if key in defined:
            outside = (codes & release.active) - members
            differences += [Difference(kind, key, code, "outside the definition") for code in sorted(outside)]
        if not any(definition.instead for definition in defined.get(key, ())):
            members |= release.below(codes, excluded - codes)
        differences += [Difference(kind, key, code, "not active") for code in sorted(codes - release.active)]
        differences += [Difference(kind, key, code, "new") for code in sorted(members - codes)]
        for concept in members:
            by_concept[concept].add(key)
    return by_concept


def _defined(
    release: Release, definitions: Iterable[Definition], excluded: frozenset[str], differences: list[Difference]
) -> set[str]:
    members: set[str] = set()
    for definition in definitions:
        members |= concepts_of(definition.text, release, excluded)
        in_release = release.active | release.attributes.keys() | release.reference_sets.keys()
        missing = sorted(roots_of(definition.text) - in_release)
        differences += [Difference(definition.kind, definition.key, root, "no such root") for root in missing]
    return members


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


Opener = Callable[[], Generator[str, None, None]]
"""Opens a file from its beginning."""


def names_of(
    files: Sequence[tuple[str, Opener]], meanings: Mapping[str, Meaning], active: Set[str], several: list[str]
) -> dict[str, Meaning]:
    """Return what each whole name of a concept means, in the languages of the release.

    A name that concepts of another meaning, or active ones of none, have as well means none, and is added to `several`.
    """
    names: dict[str, Meaning | None] = {}
    for concept, plain in _names(files):
        meaning = meanings.get(concept)
        if meaning is not None:
            names[plain] = meaning if names.get(plain, meaning) == meaning else None
    for concept, plain in _names(files):
        if plain in names and concept not in meanings and concept in active:
            names[plain] = None
    several += [name for name, meaning in names.items() if meaning is None]
    return {name: meaning for name, meaning in names.items() if meaning is not None}


def _names(files: Sequence[tuple[str, Opener]]) -> Iterator[tuple[str, str]]:
    """Each concept with a name of it that is neither an abbreviation nor too long to be looked up."""
    for name, opened in files:
        with closing(opened()) as lines:
            for cells in rows_of("sct2_Description_", name, lines):
                plain = plain_name(cells[7])
                if _SHORTEST_NAME <= len(plain) <= LONGEST_NAME:
                    yield cells[4], plain


def disagreements(
    files: Sequence[tuple[str, Opener]],
    meanings: Mapping[str, Meaning],
    ours: Mapping[str, Set[str]],
    groups_in_words: Callable[[str], Set[str]],
) -> list[Difference]:
    """List a group's new members whose names in our words mean other groups alone, of the first names that are read."""
    differences: list[Difference] = []
    seen: set[str] = set()
    for concept, plain in _names(files):
        meaning = meanings.get(concept)
        new = [group for group in meaning.groups if concept not in ours.get(group, ())] if meaning is not None else []
        if not new or concept in seen:
            continue
        seen.add(concept)
        in_words = groups_in_words(plain)
        if in_words and in_words.isdisjoint(new):
            differences += [Difference("group", group, concept, "its name means others") for group in new]
        if len(seen) >= _MOST_COMPARED:
            break
    return differences
