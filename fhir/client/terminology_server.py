"""Expands our definitions by any terminology server of FHIR R4, once, at an import: no answer ever waits for one.

Asked is `$lookup` for the edition, and `$expand` of a value set whose one filter is a constraint in the expression
language of SNOMED CT, page by page. What comes back is the index that a release would have given: codes, names in all
designations, and the difference from our tables.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import sleep
from typing import Any, Final

import httpx

from fhir.terminology.definitions import Definition
from fhir.terminology.definitions import below as or_below
from fhir.terminology.imported import Meaning, Source
from fhir.terminology.importing import snomed_roots
from fhir.terminology.release_files import Imported
from fhir.terminology.rf2 import Difference, NotARelease, Roots

SNOMED: Final = "http://snomed.info/sct"
_AGENT, _INGREDIENTS = "246075003", ("127489000", "762949000")
_CODES_AT_ONCE: Final = 150
"""So many codes are in one expression: servers bound its length."""
_ATTEMPTS: Final = 4
SECONDS: Final = 60.0
"""So long an answer may take."""
_WAITS: Final = frozenset({429, 502, 503, 504})
_REFUSALS: Final = frozenset({400, 404, 422})
_LOOKED_UP: Final = "84114007"
"""A root of our definitions, which every edition has: its answer names the edition."""


class Refused(NotARelease):
    """A server does not expand this expression: a code that its edition does not have may be in it."""


@dataclass
class TerminologyServer:
    """A terminology server at a base address, asked over one connection."""

    base: str
    http: httpx.Client
    pause: Callable[[float], None] = sleep
    page: int = 1000
    """So many concepts are asked for at once."""
    editions: set[str] = field(default_factory=set)
    """The versions of SNOMED CT that its answers named: more than one is refused."""

    def edition(self) -> str:
        """Return the version of SNOMED CT there, by `$lookup`.

        Raises:
            NotARelease: It cannot be asked, or does not have SNOMED CT.
        """
        answer = self._ask("GET", "CodeSystem/$lookup", params={"system": SNOMED, "code": _LOOKED_UP})
        values = {part.get("name"): part for part in answer.get("parameter") or ()}
        return str(values.get("version", {}).get("valueString") or "")

    def expand(self, expression: str) -> dict[str, list[str]]:
        """Return the active concepts of an expression with their names.

        Raises:
            NotARelease: It cannot be asked or expanded, or the edition changed between two pages.
        """
        return self._all({"filter": [{"property": "constraint", "op": "=", "value": expression}]})

    def below(self, codes: Sequence[str]) -> dict[str, list[str]]:
        """Return codes and what is below them, but those that the edition does not have: servers refuse these.

        Raises:
            NotARelease: As of `expand`.
        """
        try:
            return self.expand(or_below(codes))
        except Refused:
            there = self.there(codes)
            if len(there) == len(codes):
                raise
        return self.expand(or_below(there)) if there else {}

    def there(self, codes: Iterable[str]) -> list[str]:
        """Return which of the codes are active in the edition.

        Raises:
            NotARelease: As of `expand`.
        """
        return sorted(self._all({"concept": [{"code": code} for code in sorted(codes)]}))

    def _all(self, include: Mapping[str, Any]) -> dict[str, list[str]]:
        concepts: dict[str, list[str]] = {}
        offset = 0
        while True:
            expansion = self._ask("POST", "ValueSet/$expand", json=_request(include, offset, self.page)).get(
                "expansion"
            )
            if not isinstance(expansion, dict):
                raise NotARelease(f"{self.base}: the answer to $expand is not an expansion")
            self._note_edition(expansion)
            page = list(_contained(expansion.get("contains") or ()))
            concepts.update(page)
            offset += len(page)
            total = expansion.get("total")
            if not page or (offset >= total if isinstance(total, int) else len(page) < self.page):
                return concepts

    def _note_edition(self, expansion: Mapping[str, Any]) -> None:
        for parameter in expansion.get("parameter") or ():
            if parameter.get("name") in ("version", "used-codesystem"):
                self.editions.add(str(parameter.get("valueUri") or parameter.get("valueString") or ""))
        if len(self.editions) > 1:
            raise NotARelease(f"{self.base}: the edition changed while it was read: {', '.join(sorted(self.editions))}")

    def _ask(self, method: str, operation: str, **content: Any) -> dict[str, Any]:
        where = f"{self.base.rstrip('/')}/{operation}"
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = self.http.request(method, where, **content)
            except httpx.HTTPError as error:
                raise NotARelease(f"{where} cannot be asked: {type(error).__name__}") from None
            if answer.status_code not in _WAITS or attempt == _ATTEMPTS:
                break
            self.pause(2.0**attempt)
        try:
            document = answer.json()
        except ValueError:
            document = None
        if answer.status_code != 200 or not isinstance(document, dict):
            fault = Refused if answer.status_code in _REFUSALS else NotARelease
            raise fault(f"{where} answered {answer.status_code}{_why(document)}")
        return document


def _why(content: Any) -> str:
    issues = content.get("issue") if isinstance(content, dict) else None
    texts = [str(issue.get("diagnostics") or (issue.get("details") or {}).get("text") or "") for issue in issues or ()]
    return f": {'; '.join(filter(None, texts))[:300]}" if any(texts) else ""


def _request(include: Mapping[str, Any], offset: int, count: int) -> dict[str, Any]:
    compose = {"include": [{"system": SNOMED, **include}]}
    value_set = {"resourceType": "ValueSet", "status": "active", "compose": compose}
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "valueSet", "resource": value_set},
            {"name": "offset", "valueInteger": offset},
            {"name": "count", "valueInteger": count},
            {"name": "activeOnly", "valueBoolean": True},
            {"name": "includeDesignations", "valueBoolean": True},
        ],
    }


def _contained(entries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Each concept with its names, also those below another one."""
    for entry in entries:
        if entry.get("code") and not entry.get("inactive") and not entry.get("abstract"):
            designations = [str(designated.get("value") or "") for designated in entry.get("designation") or ()]
            names = dict.fromkeys(filter(None, (str(entry.get("display") or ""), *designations)))
            yield str(entry["code"]), list(names)
        yield from _contained(entry.get("contains") or ())


def expand_by(
    server: TerminologyServer, imported: Imported, step: Callable[[str, int, int], None], roots: Roots | None = None
) -> None:
    """Add what the server has of our groups, allergens, vaccines and ingredients, or of these roots in their place.

    Raises:
        NotARelease: The server cannot be asked or does not expand, or its edition changed meanwhile.
    """
    edition = server.edition()
    roots = roots or snomed_roots(imported.definitions)
    names: dict[str, list[str]] = {}
    keys_of: dict[str, defaultdict[str, set[str]]] = {kind: defaultdict(set) for kind in (*roots.by_kind, "allergy")}
    keys = [(kind, key) for kind, of_kind in roots.by_kind.items() for key in of_kind]
    for number, (kind, key) in enumerate(keys):
        step(f"{kind} {key}", number, len(keys))
        codes = roots.by_kind[kind][key]
        definitions = [row for row in roots.definitions if (row.kind, row.key) == (kind, key)]
        members = {code: terms for row in definitions for code, terms in _defined(row, server, imported).items()}
        listed = frozenset() if any(row.instead for row in definitions) else codes
        _add_below(members, server, listed, roots.in_none - codes if kind == "group" else frozenset())
        names |= members
        imported.differences += [Difference(kind, key, code, "new") for code in sorted(members.keys() - codes)]
        for code in members:
            keys_of[kind][code].add(key)
        if kind in ("drug", "allergen") and (codes := codes & members.keys()):
            agents = server.expand(_about(_AGENT, codes))
            for code in agents:
                keys_of["allergy" if kind == "drug" else kind][code].add(key)
            names |= agents
        if kind == "drug" and codes:
            products = server.expand(" OR ".join(f"({_about(attribute, codes)})" for attribute in _INGREDIENTS))
            for code in products:
                keys_of[kind][code].add(key)
            names |= products
    _add(imported, keys_of, names, f"SNOMED CT {edition}".rstrip())
    imported.sources.append(Source(server.base, edition, "$expand", "", len(names)))


def _parts(codes: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (codes[start : start + size] for start in range(0, len(codes), size))


def _about(attribute: str, codes: Iterable[str]) -> str:
    """Everything whose attribute has one of these values or what is below them."""
    return f"* : {attribute} = ({or_below(codes)})"


def _defined(definition: Definition, server: TerminologyServer, imported: Imported) -> dict[str, list[str]]:
    """Return what is in a definition, nothing where the edition does not have one of its codes, which is told."""
    try:
        return server.expand(definition.constraint)
    except Refused as refused:
        if definition.system == "ecl":
            raise NotARelease(f"the definition of {definition.key}: {refused}") from None
        roots = definition.roots | definition.without
        absent = sorted(roots.difference(server.there(roots)))
        if not absent:
            raise
    imported.differences += [Difference(definition.kind, definition.key, code, "no such root") for code in absent]
    return {}


def _add_below(
    members: dict[str, list[str]], server: TerminologyServer, codes: frozenset[str], excluded: frozenset[str]
) -> None:
    """Add what is below the codes, and take away what was read and is in none and what is below that."""
    for part in _parts(sorted(codes), _CODES_AT_ONCE):
        members |= server.below(part)
    for part in _parts(sorted(members.keys() & excluded), _CODES_AT_ONCE):
        for code in server.below(part).keys() - codes:
            members.pop(code, None)


def _add(
    imported: Imported, keys_of: Mapping[str, Mapping[str, set[str]]], names: Mapping[str, list[str]], by: str
) -> None:
    def keys(kind: str, code: str) -> tuple[str, ...]:
        return tuple(sorted(keys_of[kind].get(code, ())))

    for code, names_of_code in names.items():
        meaning = Meaning(
            groups=keys("group", code), ingredients=keys("drug", code), allergies=keys("allergy", code),
            allergens=keys("allergen", code), vaccines=keys("vaccine", code), by=by,
        )  # fmt: skip
        imported.codes.setdefault(("snomed", code), meaning)
        for name in names_of_code:
            imported.add_name(name, meaning)
