"""A snapshot release of SNOMED CT in RF2: what descends from the codes of the tables means what they mean.

A group, an allergen, a drug or a family of vaccines is, of SNOMED CT, the codes of our tables with all that is below
them, but what is below a code that was read and is in none. Findings of an allergy take what they are about from their
causative agent, products their ingredients; a code that was replaced means what replaces it. A definition
(definitions.py) holds a group by its roots and exclusions, beside the codes of the tables or instead of them.
An expression of the ECL is left to a terminology server.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from fhir.terminology.definitions import Definition
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
    "sct2_Concept_": ("active", "id"),
    "sct2_Relationship_": ("active", "sourceId", "destinationId", "typeId"),
    "sct2_Description_": ("active", "conceptId", "term"),
    "der2_cRefset_Association": ("active", "refsetId", "referencedComponentId", "targetComponentId"),
}
"""How the names of the files begin that are read, and what is read of them."""


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

    def read(self, kind: str, rows: Iterable[Sequence[str]]) -> None:
        """Read the active rows of a file of this kind, one of `COLUMNS` but descriptions."""
        for cells in rows:
            match kind, cells:
                case "sct2_Concept_", [_, concept]:
                    self.active.add(concept)
                case "sct2_Relationship_", [_, source, target, attribute]:
                    self._relationship(source, target, attribute)
                case "der2_cRefset_Association", [_, reference_set, old, new] if reference_set in _REPLACED:
                    self.replaced[old] = new

    def _relationship(self, source: str, target: str, attribute: str) -> None:
        if attribute == _IS_A:
            self.children[target].append(source)
        elif attribute == _CAUSATIVE_AGENT:
            self.agents[source].append(target)
        elif attribute in _INGREDIENTS:
            self.ingredients[source].append(target)

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
        if (definition.kind, definition.system) == (kind, "snomed"):  # the ECL is a terminology server's
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
        taken = (release.below([code], excluded - {code}) for code in definition.without)
        held = (release.below([code], excluded - {code}) for code in definition.roots)
        members |= set().union(*held).difference(*taken)
        missing = sorted((definition.roots | definition.without) - release.active)
        differences += [Difference(definition.kind, definition.key, root, "no such root") for root in missing]
    return members


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


Names = Callable[[], Generator[Sequence[str], None, None]]
"""Yields the active rows of a file of descriptions, from its beginning."""


def names_of(
    files: Sequence[Names], meanings: Mapping[str, Meaning], active: Set[str], several: list[str]
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


def _names(files: Sequence[Names]) -> Iterator[tuple[str, str]]:
    """Each concept with a name of it that is neither an abbreviation nor too long to be looked up."""
    for rows_of_file in files:
        with closing(rows_of_file()) as rows:
            for _, concept, term in rows:
                plain = plain_name(term)
                if _SHORTEST_NAME <= len(plain) <= LONGEST_NAME:
                    yield concept, plain


def disagreements(
    files: Sequence[Names],
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
