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

from msgspec import Struct

from cards.knowledge.elm.clinical import ValueSet
from cards.knowledge.elm.compiling import Library
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
    def version(self) -> str | None:
        """Return its version as published."""
        version = self.resource.get("version")
        return None if version is None else str(version)


class SiteChoices(Struct, frozen=True):
    """What `knowledge.toml` in the folder says: see docs/knowledge.md."""

    parameters: Mapping[str, Any] = {}
    drafts: Mapping[str, str] = {}
    accept_status: tuple[str, ...] = ()
    critical: tuple[str, ...] = ()
    value_sets: str = ""


class KnowledgeFolder:
    """The resources of a folder by kind; libraries and value sets are read once for all artifacts."""

    def __init__(self, path: Path, *, with_choices: bool = True) -> None:
        self.path = path
        self.faults: list[Fault] = []
        self.choices = SiteChoices()
        self._published: dict[str, list[Published]] = {kind: [] for kind in _KINDS}
        self._libraries: dict[str, Library | Fault] = {}
        self._value_sets: dict[str, ValueSet | None] = {}
        self._digests: dict[str, str] = {}
        self._of_site: Mapping[str, Published] = {}
        if with_choices:
            self._read_choices()
        for file in sorted(path.rglob("*.json")):
            self._read_file(file)
        self._read_value_sets_of_the_site()

    def _read_value_sets_of_the_site(self) -> None:
        """Let the ValueSets of the folder that `knowledge.toml` names count before those that came with the artifact.

        A site's expansion is of the editions that its charts are coded in; what differs is told with the artifact.
        """
        if not self.choices.value_sets:
            return
        place = self.path / self.choices.value_sets
        if not place.is_dir():
            self.faults.append(Fault("knowledge.toml", f"value_sets names {place.name}, which is no folder here."))
            return
        site = KnowledgeFolder(place, with_choices=False)
        self.faults += site.faults
        self._of_site = {published.url: published for published in site.of_kind("ValueSet")}

    def _value_set_named(self, canonical: str) -> Published | str:
        return self._of_site.get(canonical.partition("|")[0]) or self.resolve("ValueSet", canonical)

    def differences(self, url: str) -> str:
        """Return how the members of a value set of the site differ from the published ones; "" where they do not."""
        ours, published = self.value_set(url), self.resolve("ValueSet", url)
        if url.partition("|")[0] not in self._of_site or isinstance(ours, str) or isinstance(published, str):
            return ""
        theirs = set(self._codes(published.resource, 0) or ())
        common = sum(ours.has(code) for code in theirs)
        if len(ours) == common == len(theirs):
            return ""
        return f"{url}: the site's value set has {len(ours) - common} codes more and {len(theirs) - common} fewer."

    def _read_choices(self) -> None:
        file = self.path / "knowledge.toml"
        if not file.is_file():
            return
        try:
            stated = tomllib.loads(file.read_text(encoding="utf-8"))
            self.choices = SiteChoices(
                stated.get("parameters", {}),
                stated.get("drafts", {}),
                tuple(stated.get("accept_status", ())),
                tuple(stated.get("critical", ())),
                str(stated.get("value_sets", "")),
            )
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
            self.faults.append(Fault(file.name, f"This file cannot be read: {error}."))

    def _read_file(self, file: Path) -> None:
        name = str(file.relative_to(self.path))
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
                self._published[str(kind)].append(
                    Published(name, _with_codes(kept) if kind == "ValueSet" else kept, digest)
                )

    def of_kind(self, kind: str) -> list[Published]:
        """Return the resources of a kind."""
        return self._published[kind]

    def release(self) -> None:
        """Give the memory of what is only read while artifacts are checked back."""
        for library in self._libraries.values():
            if isinstance(library, Library):
                library.release()

    def resolve(self, kind: str, canonical: str) -> Published | str:
        """Return the resource that a canonical address names, with exactly its version; else why there is none."""
        url, _, version = canonical.partition("|")
        same = [published for published in self._published[kind] if published.url == url]
        if not same:
            return f"The {kind} {url} is missing."
        exact = [published for published in same if not version or published.version == version]
        if not exact:
            versions = ", ".join(str(published.version) for published in same)
            return f"The {kind} {url} is named in version {version}; the folder has version {versions}."
        return exact[0]

    def library(self, published: Published) -> Library | Fault:
        """Return the ELM of a Library resource, or why it has none that is read."""
        key = f"{published.url}|{published.version}"
        if key not in self._libraries:
            self._libraries[key] = _elm_of(published)
        return self._libraries[key]

    def including(self, library: Library) -> tuple[list[tuple[Published, Library]], list[Fault]]:
        """Return the libraries that one includes, and those that they include; and what is missing."""
        collected: dict[str, tuple[Published, Library]] = {}
        faults: list[Fault] = []
        waiting = [library]
        while waiting:
            current = waiting.pop()
            for _, name, version in current.included:
                if f"{name}|{version}" in collected:
                    continue
                included = self._library_named(name, version)
                if isinstance(included, str):
                    faults.append(Fault(self._file_of(current), f"{current.id} includes {included}"))
                    continue
                elm = self.library(included)
                if isinstance(elm, Fault):
                    faults.append(elm)
                    continue
                collected[f"{name}|{version}"] = (included, elm)
                waiting.append(elm)
        return list(collected.values()), faults

    def _library_named(self, name: str, version: str | None) -> Published | str:
        same = [
            item for item in self._published["Library"] if item.resource.get("name") == name or _tail(item.url) == name
        ]
        exact = [published for published in same if version is None or published.version == version]
        if exact:
            return exact[0]
        requested = f"{name} version {version}" if version else name
        if not same:
            return f"{requested}; it is missing."
        return f"{requested}; the folder has version {', '.join(str(published.version) for published in same)}."

    def _file_of(self, library: Library) -> str:
        return next((item.file for item in self._published["Library"] if self.library(item) is library), library.id)

    def value_set(self, url: str) -> ValueSet | str:
        """Return the members of a value set, or why they are not known."""
        published = self._value_set_named(url)
        if isinstance(published, str):
            return published
        key = f"{published.url}|{published.version}"
        if key not in self._value_sets:
            codes = self._codes(published.resource, 0)
            self._value_sets[key] = None if codes is None else ValueSet(codes)
            if codes is not None:
                self._digests[key] = hashlib.sha256(json.dumps(sorted(map(str, codes))).encode()).hexdigest()
        members = self._value_sets[key]
        return f"The value set {published.url} has no expansion." if members is None else members

    def value_set_digest(self, url: str) -> str:
        """Return the hash of the members of a value set that was read."""
        published = self._value_set_named(url)
        return "" if isinstance(published, str) else self._digests.get(f"{published.url}|{published.version}", "")

    def _codes(self, value_set: Mapping[str, Any], depth: int) -> list[tuple[str | None, str]] | None:
        """Return the codes of the expansion, else of a definition that lists all of them."""
        if _CODES in value_set:
            return [(system, code) for system, codes in value_set[_CODES].items() for code in codes.split("\n")]
        compose = value_set.get("compose")
        if depth > 5 or not isinstance(compose, dict) or compose.get("exclude") or not compose.get("include"):
            return None
        codes: list[tuple[str | None, str]] = []
        for include in compose["include"]:
            listed = self._listed(include, depth)
            if listed is None:
                return None
            codes += listed
        return codes

    def _listed(self, include: Mapping[str, Any], depth: int) -> list[tuple[str | None, str]] | None:
        if include.get("filter"):
            return None
        if include.get("concept"):
            return [(include.get("system"), str(concept["code"])) for concept in include["concept"]]
        if len(include.get("valueSet") or ()) != 1 or include.get("system"):
            return None
        published = self._value_set_named(str(include["valueSet"][0]))
        return None if isinstance(published, str) else self._codes(published.resource, depth + 1)


def _with_codes(value_set: dict[str, Any]) -> dict[str, Any]:
    """Keep of an expansion its codes alone, one text a code system: as JSON they take ten times the memory."""
    expansion = value_set.pop("expansion", None)
    if isinstance(expansion, dict) and "contains" in expansion:
        by_system: dict[str | None, list[str]] = {}
        for system, code in _contained(expansion["contains"]):
            by_system.setdefault(system, []).append(code)
        value_set.pop("compose", None)
        value_set[_CODES] = {system: "\n".join(codes) for system, codes in by_system.items()}
    return value_set


def _contained(contains: Any) -> Iterator[tuple[str | None, str]]:
    for entry in contains:
        if entry.get("code") is not None and not entry.get("abstract") and not entry.get("inactive"):
            yield entry.get("system"), str(entry["code"])
        yield from _contained(entry.get("contains") or ())


def _entries(resource: Any) -> list[Mapping[str, Any]]:
    if not isinstance(resource, dict):
        return []
    if resource.get("resourceType") != "Bundle":
        return [resource]
    entries = resource.get("entry") or ()
    return [
        entry["resource"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("resource"), dict)
    ]


def _tail(url: str) -> str:
    return url.rpartition("/")[2]


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
        return Fault(
            published.file,
            f"The library {published.url} has no ELM as JSON ({_ELM}); translate its CQL.",
        )
    try:
        elm = base64.b64decode(contents[0]["data"])
        return Library(json.loads(elm, parse_float=Decimal, object_hook=_without_notes))
    except (ValueError, binascii.Error, RecursionError, NotSupported, TypeError, KeyError, AttributeError) as error:
        return Fault(published.file, f"The ELM of the library {published.url} cannot be read: {error}")
