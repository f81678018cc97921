"""Reads a folder of published FHIR resources: artifacts, libraries, value sets and definitions of activities."""

import base64
import binascii
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from cards.knowledge.elm.clinical import ValueSet
from cards.knowledge.elm.compiling import Library, link
from cards.knowledge.elm.errors import NotSupported

_KINDS: Final = frozenset({"PlanDefinition", "Measure", "Library", "ValueSet", "ActivityDefinition"})
_NOTES: Final = frozenset({"annotation", "locator", "localId", "resultTypeName", "resultTypeSpecifier"})
_KEPT_NOTES: Final = frozenset({"errorSeverity", "translatorOptions"})
_CODES: Final = "expansionCodes"
_ELM: Final = "application/elm+json"
_NOT_KEPT: Final = frozenset({"text", "contained"})
_LARGEST_FILE: Final = 50_000_000


class Fault(Struct, frozen=True, order=True):
    """What is wrong, and in which file of the folder."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


class Published(Struct, frozen=True):
    """A resource of the folder, without its narrative, the file that it stands in, and the hash of all of it."""

    file: str
    resource: Mapping[str, Any]
    sha256: str

    @property
    def url(self) -> str:
        """Return its canonical address, or its id where it has none."""
        return str(self.resource.get("url") or self.resource.get("id"))

    @property
    def version(self) -> str:
        """Return its version as published; "" where it has none."""
        return str(self.resource.get("version") or "")


class SiteChoices(Struct, frozen=True):
    """What `knowledge.toml` in the folder says: see docs/knowledge.md."""

    parameters: Mapping[str, Any] = {}
    drafts: Mapping[str, str] = {}
    accept_status: tuple[str, ...] = ()
    critical: tuple[str, ...] = ()
    value_sets: str = ""


class KnowledgeFolder:
    """The resources of a folder by kind; libraries and value sets are read once for all artifacts.

    The ValueSets of the folder that `knowledge.toml` names count before those that came with an artifact: a site's
    expansion is of the editions that its charts are coded in. What differs is told with the artifact.
    """

    def __init__(self, path: Path, *, of_site: bool = False) -> None:
        self.path = path
        self.faults: list[Fault] = []
        self.choices = SiteChoices() if of_site else self._choices(path / "knowledge.toml")
        self._published: dict[str, list[Published]] = {kind: [] for kind in _KINDS}
        self._libraries: dict[str, Library | Fault] = {}
        self._value_sets: dict[str, ValueSet | None] = {}
        self._of_site: Mapping[str, Published] = {}
        for file in sorted(path.rglob("*.json")):
            self._read_file(file, str(file.relative_to(path)))
        if self.choices.value_sets:
            site = KnowledgeFolder(path / self.choices.value_sets, of_site=True)
            self._of_site = {published.url: published for published in site.of_kind("ValueSet")}
            self.faults += site.faults
            if not site.path.is_dir():
                self.faults.append(Fault("knowledge.toml", f"value_sets names {site.path.name}: not a folder."))

    def _choices(self, file: Path) -> SiteChoices:
        try:
            stated = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
            return msgspec.convert(stated, SiteChoices)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
            self.faults.append(Fault(file.name, f"This file cannot be read: {error}."))
            return SiteChoices()

    def _read_file(self, file: Path, name: str) -> None:
        if file.stat().st_size > _LARGEST_FILE:
            self.faults.append(Fault(name, f"The file is larger than {_LARGEST_FILE:,} bytes."))
            return
        try:
            resource = json.loads(file.read_bytes(), parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            self.faults.append(Fault(name, f"The file is not JSON ({type(error).__name__})."))
            return
        for entry in _entries(resource):
            kind = entry.get("resourceType")
            if kind in _KINDS:
                digest = hashlib.sha256(json.dumps(entry, sort_keys=True, default=str).encode()).hexdigest()
                kept = {member: value for member, value in entry.items() if member not in _NOT_KEPT}
                try:
                    self._published[str(kind)].append(Published(name, _with_codes(kept), digest))
                except (AttributeError, TypeError) as error:
                    self.faults.append(Fault(name, f"The expansion is not as FHIR has it ({error})."))

    def of_kind(self, kind: str) -> list[Published]:
        """Return the resources of a kind."""
        return self._published[kind]

    def release(self) -> None:
        """Give the memory of what is only read while artifacts are checked back."""
        for library in self._libraries.values():
            if isinstance(library, Library):
                library.release()

    def resolve(self, kind: str, canonical: str) -> Published | str:
        """Return the resource of a canonical address or name, with exactly its version; else why there is none."""
        name, _, version = canonical.partition("|")
        same = [
            published
            for published in self._published[kind]
            if name in {published.url, published.url.rpartition("/")[2], published.resource.get("name")}
        ]
        exact = [published for published in same if version in {"", published.version}]
        if exact:
            return exact[0]
        versions = ", ".join(published.version for published in same)
        there = f"named in version {version}; the folder has version {versions}" if same else "missing"
        return f"The {kind} {name if same else canonical.rstrip('|')} is {there}."

    # Libraries

    def linked_libraries(self, main: Published) -> tuple[list[tuple[Published, Library]], list[Fault]]:
        """Return a library and those that it includes, each linked to those; and what is missing."""
        reached: dict[str, tuple[Published, Library]] = {}
        faults, waiting = list[Fault](), [main]
        while waiting:
            published = waiting.pop()
            key = f"{published.url}|{published.version}"
            library = self._libraries.get(key) or _elm_of(published)
            self._libraries[key] = library
            if isinstance(library, Fault):
                faults.append(library)
            elif key not in reached:
                reached[key] = published, library
                for _, name, version in library.included:
                    included = self.resolve("Library", f"{name}|{version or ''}")
                    if isinstance(included, Published):
                        waiting.append(included)
                    else:
                        faults.append(Fault(published.file, f"{library.id} includes what is not here: {included}"))
        link(library for _, library in reached.values())
        return list(reached.values()), faults

    # Value sets

    def _value_set_named(self, canonical: str) -> Published | str:
        return self._of_site.get(canonical.partition("|")[0]) or self.resolve("ValueSet", canonical)

    def value_set(self, url: str) -> ValueSet | str:
        """Return the members of a value set, or why they are not known."""
        published = self._value_set_named(url)
        if isinstance(published, str):
            return published
        key = f"{published.url}|{published.version}"
        if key not in self._value_sets:
            codes = self._codes(published, 0)
            self._value_sets[key] = None if codes is None else ValueSet(codes)
        members = self._value_sets[key]
        return f"The value set {published.url} has no expansion." if members is None else members

    def differences(self, url: str) -> str:
        """Return how the members of a value set of the site differ from the published ones; "" where they do not."""
        ours, published = self.value_set(url), self.resolve("ValueSet", url)
        if url.partition("|")[0] not in self._of_site or isinstance(ours, str) or isinstance(published, str):
            return ""
        theirs = set(self._codes(published, 0) or ())
        common = sum(ours.has(code) for code in theirs)
        if len(ours) == common == len(theirs):
            return ""
        return f"{url}: the site's value set has {len(ours) - common} codes more and {len(theirs) - common} fewer."

    def _codes(self, published: Published | str, depth: int) -> list[tuple[str | None, str]] | None:
        """Return the codes of the expansion, else of a definition that lists all of them."""
        if isinstance(published, str) or depth > 5:
            return None
        if _CODES in published.resource:
            codes_by_system = published.resource[_CODES].items()
            return [(system, code) for system, codes in codes_by_system for code in codes.split("\n")]
        compose = published.resource.get("compose")
        if not isinstance(compose, dict) or compose.get("exclude") or not compose.get("include"):
            return None
        listed = [self._listed(include, depth) for include in compose["include"]]
        return None if None in listed else [code for codes in listed for code in codes or ()]

    def _listed(self, include: Mapping[str, Any], depth: int) -> list[tuple[str | None, str]] | None:
        if include.get("concept") and not include.get("filter"):
            return [(include.get("system"), str(concept["code"])) for concept in include["concept"]]
        if len(include.get("valueSet") or ()) != 1 or include.get("system") or include.get("filter"):
            return None
        return self._codes(self._value_set_named(str(include["valueSet"][0])), depth + 1)


def _with_codes(resource: dict[str, Any]) -> dict[str, Any]:
    """Keep of an expansion its codes alone, one text a code system: as JSON they take ten times the memory."""
    expansion = resource.pop("expansion", None) if resource.get("resourceType") == "ValueSet" else None
    if isinstance(expansion, dict) and "contains" in expansion:
        by_system: dict[str | None, list[str]] = {}
        for system, code in _contained(expansion["contains"]):
            by_system.setdefault(system, []).append(code)
        resource.pop("compose", None)
        resource[_CODES] = {system: "\n".join(codes) for system, codes in by_system.items()}
    return resource


def _contained(contains: Any) -> Iterator[tuple[str | None, str]]:
    for entry in contains:
        if entry.get("code") is not None and not entry.get("abstract") and not entry.get("inactive"):
            yield entry.get("system"), str(entry["code"])
        yield from _contained(entry.get("contains") or ())


def _entries(resource: Any) -> list[Mapping[str, Any]]:
    """Return the resources of a Bundle, or the one resource."""
    entries: Any = [{"resource": resource}]
    if isinstance(resource, dict) and resource.get("resourceType") == "Bundle":
        entries = resource.get("entry") or ()
    given = [entry.get("resource") for entry in entries if isinstance(entry, dict)]
    return [entry for entry in given if isinstance(entry, dict)]


def _without_notes(node: dict[str, Any]) -> dict[str, Any]:
    """Drop what translators note for editors of CQL: two thirds of a library. Errors of the translator stay."""
    for name in _NOTES & node.keys():
        notes = node[name]
        if name != "annotation" or not any(_KEPT_NOTES & note.keys() for note in notes if isinstance(note, dict)):
            del node[name]
    return node


def _elm_of(published: Published) -> Library | Fault:
    contents = [content for content in published.resource.get("content") or () if content.get("contentType") == _ELM]
    if not contents or not contents[0].get("data"):
        return Fault(published.file, f"The library {published.url} has no ELM as JSON ({_ELM}); translate its CQL.")
    try:
        elm = base64.b64decode(contents[0]["data"])
        return Library(json.loads(elm, parse_float=Decimal, object_hook=_without_notes))
    except (ValueError, binascii.Error, RecursionError, NotSupported, TypeError, KeyError, AttributeError) as error:
        return Fault(published.file, f"The ELM of the library {published.url} cannot be read: {error}")
