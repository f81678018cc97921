"""Checks a published artifact: with exactly what it names it can be evaluated, or each of its faults is named."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from cards.knowledge.elm import evaluation  # noqa: F401  (registers the nodes that are compiled)
from cards.knowledge.elm.clinical import ValueSet
from cards.knowledge.elm.compiling import Body, Library, link
from cards.knowledge.elm.errors import NotSupported
from cards.knowledge.folder import Fault, KnowledgeFolder, Published

_LANGUAGES: Final = frozenset({"text/cql-identifier", "text/cql.identifier", "text/cql"})
DRAFT_PARAMETERS: Final = ("ContextPrescriptions", "draftOrders", "DraftOrders")
PERIOD: Final = "Measurement Period"


class Artifact(Struct, frozen=True):
    """A PlanDefinition or a Measure that can be evaluated."""

    kind: str
    id: str
    file: str
    url: str
    version: str
    """The version as published."""
    sha256: str
    """The hash of the artifact, its libraries and the members of its value sets: what two people approve."""
    title: str
    resource: Mapping[str, Any]
    expressions: Mapping[str, Body]
    """The definitions that conditions, dynamic values and populations name."""
    libraries: tuple[str, ...]
    """Each library with its version."""
    value_sets: Mapping[str, ValueSet]
    differences: tuple[str, ...]
    """How value sets of the site differ from those that were published with the artifact."""
    reads: tuple[str, ...]
    """The types of resources that the definitions retrieve: what has to be asked of the record."""
    draft_parameters: tuple[str, ...]
    parameters: Mapping[str, Any]
    activities: Mapping[str, Mapping[str, Any]]
    may_be_critical: bool

    @property
    def hooks(self) -> tuple[str, ...]:
        """Return the hooks that trigger an action of the plan."""
        names = [trigger.get("name") for action in self.actions for trigger in action.get("trigger") or ()]
        return tuple(dict.fromkeys(str(name) for name in names if name))

    @property
    def actions(self) -> list[Mapping[str, Any]]:
        """Return the actions at the top of the plan."""
        return list(self.resource.get("action") or ())


class Refused(Struct, frozen=True):
    """An artifact that is not evaluated, with each fault."""

    id: str
    file: str
    faults: tuple[Fault, ...]


def check_folder(path: Path) -> tuple[list[Artifact], list[Refused], list[Fault]]:
    """Return the artifacts of a folder that can be evaluated, those that are refused, and files that cannot be read."""
    folder = KnowledgeFolder(path)
    artifacts, refused = list[Artifact](), list[Refused]()
    for kind in ("PlanDefinition", "Measure"):
        for published in folder.of_kind(kind):
            result = _Check(folder, published).result()
            (artifacts if isinstance(result, Artifact) else refused).append(result)  # type: ignore[arg-type]
    folder.release()
    return artifacts, refused, folder.faults


def artifact_id(published: Published) -> str:
    """Return the tail of the canonical address, in the form of a service's id."""
    return published.url.rpartition("/")[2].lower().replace("_", "-").replace(".", "-")


class _Check:
    """One artifact, what it reaches, and the faults that were found."""

    def __init__(self, folder: KnowledgeFolder, published: Published) -> None:
        self.folder = folder
        self.published = published
        self.faults: list[Fault] = []
        self.expressions: dict[str, Body] = {}
        self.bodies: dict[Body, None] = {}

    def fault(self, reason: str, file: str | None = None) -> None:
        self.faults.append(Fault(file or self.published.file, reason))

    def result(self) -> Artifact | Refused:
        resource = self.published.resource
        status = resource.get("status")
        if status != "active" and status not in self.folder.choices.accept_status:
            self.fault(
                f"The status is {status!r}, not 'active'; `accept_status` of knowledge.toml can accept another one."
            )
        libraries = self._libraries()
        if libraries:
            self._compile(libraries[0][1])
            self._look_at_libraries(libraries)
        value_sets = self._value_sets()
        self._look_at_parameters()
        activities = self._activities()
        if self.faults:
            return Refused(artifact_id(self.published), self.published.file, tuple(dict.fromkeys(self.faults)))
        return self._artifact(libraries, value_sets, activities)

    def _artifact(
        self,
        libraries: list[tuple[Published, Library]],
        value_sets: Mapping[str, ValueSet],
        activities: Mapping[str, Mapping[str, Any]],
    ) -> Artifact:
        resource = self.published.resource
        return Artifact(
            kind=str(resource["resourceType"]),
            id=artifact_id(self.published),
            file=self.published.file,
            url=self.published.url,
            version=self.published.version or "",
            sha256=self._digest(libraries, value_sets),
            title=str(resource.get("title") or resource.get("name") or artifact_id(self.published)),
            resource=resource,
            expressions=self.expressions,
            libraries=tuple(sorted(f"{library.id} {library.version}" for _, library in libraries)),
            value_sets=value_sets,
            differences=tuple(filter(None, map(self.folder.differences, value_sets))),
            reads=tuple(sorted({kind for body in self.bodies for kind, _ in body.retrieves})),
            draft_parameters=tuple(name for _, name in self._parameters() if name in self._draft_names()),
            parameters=self.folder.choices.parameters,
            activities=activities,
            may_be_critical=artifact_id(self.published) in self.folder.choices.critical,
        )

    def _digest(self, libraries: Iterable[tuple[Published, Library]], value_sets: Iterable[str]) -> str:
        parts: list[Any] = [self.published.sha256, self.folder.choices.parameters, self.folder.choices.drafts]
        parts += [published.sha256 for published, _ in sorted(libraries, key=_library_name)]
        parts += [self._activity_digest(action) for action in every_action(self.published.resource)]
        text = json.dumps(parts, sort_keys=True, default=str)
        sets = "".join(f"{url} {self.folder.value_set_digest(url)}\n" for url in sorted(value_sets))
        return hashlib.sha256((text + sets).encode()).hexdigest()

    def _activity_digest(self, action: Mapping[str, Any]) -> str:
        collected = self.folder.resolve("ActivityDefinition", str(action.get("definitionCanonical")))
        return "" if isinstance(collected, str) else collected.sha256

    # What the artifact reaches

    def _libraries(self) -> list[tuple[Published, Library]]:
        stated = self.published.resource.get("library") or []
        identified = [stated] if isinstance(stated, str) else list(stated)
        if len(identified) != 1:
            self.fault(f"The artifact must name one library; it names {len(identified)}.")
            return []
        published = self.folder.resolve("Library", str(identified[0]))
        if isinstance(published, str):
            self.fault(published)
            return []
        if published.resource.get("status") not in {"active", *self.folder.choices.accept_status}:
            self.fault(
                f"The library {published.url} has the status {published.resource.get('status')!r}.", published.file
            )
        library = self.folder.library(published)
        if isinstance(library, Fault):
            self.faults.append(library)
            return []
        included, faults = self.folder.including(library)
        self.faults += faults
        libraries = [(published, library), *included]
        link(library for _, library in libraries)
        return libraries

    def _compile(self, library: Library) -> None:
        names = list(self._names())
        if not names:
            self.fault("The artifact has no condition, dynamic value or population that names an expression.")
        for where, expression in names:
            language, name = str(expression.get("language")), str(expression.get("expression") or "")
            if language not in _LANGUAGES:
                self.fault(f"{where} is written in {language!r}; only names of CQL expressions are evaluated.")
                continue
            try:
                body = library.definition(name.strip('"'))
                reached = body.reachable()
            except NotSupported as error:
                self.fault(str(error), self._file_of(library, str(error)))
                continue
            self.expressions[name] = body
            self.bodies.update(dict.fromkeys(reached))

    def _file_of(self, library: Library, reason: str) -> str:
        """Return the file of the library in which the fault is."""
        identified = reason.removeprefix("In ").partition(".")[0] if reason.startswith("In ") else library.id
        files = [item.file for item in self.folder.of_kind("Library") if item.resource.get("name") == identified]
        return files[0] if files else self.published.file

    def _names(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        resource = self.published.resource
        for action in every_action(resource):
            where = f"The action {str(action.get('title') or action.get('id') or '')!r}"
            for condition in action.get("condition") or ():
                if condition.get("kind", "applicability") == "applicability":
                    yield f"A condition of {where.lower()}", condition.get("expression") or {}
            for value in action.get("dynamicValue") or ():
                yield f"A dynamic value of {where.lower()}", value.get("expression") or {}
        for group in resource.get("group") or ():
            for population in group.get("population") or ():
                yield "A population", population.get("criteria") or {}

    def _look_at_libraries(self, libraries: list[tuple[Published, Library]]) -> None:
        used = {body.library for body in self.bodies} | {library for _, library in libraries[:1]}
        for published, library in libraries:
            if library not in used:
                continue
            if library.converts_lists():
                reason = (
                    "was translated without DisableListDemotion and DisableListPromotion: a list may count as a value."
                )
                self.fault(f"{library.id} {reason}", published.file)
            for message in library.translator_errors():
                self.fault(
                    f"The translator could not translate a part of {library.id} and put null in its place: {message}",
                    published.file,
                )
            for body in self.bodies:
                if body.library is library:
                    for note in body.notes:
                        self.fault(f"In {body.title}: {note}", published.file)

    def _value_sets(self) -> dict[str, ValueSet]:
        value_sets: dict[str, ValueSet] = {}
        for url in sorted({url for body in self.bodies for url in body.value_sets}):
            members = self.folder.value_set(url)
            if isinstance(members, str):
                self.fault(members)
            else:
                value_sets[url] = members
        return value_sets

    def _parameters(self) -> list[tuple[Library, str]]:
        by_id = {body.library.id: body.library for body in self.bodies}
        return [
            (by_id[library], name)
            for library, name in sorted({pair for body in self.bodies for pair in body.parameters})
        ]

    def _draft_names(self) -> frozenset[str]:
        return frozenset(self.folder.choices.drafts) | frozenset(DRAFT_PARAMETERS)

    def _look_at_parameters(self) -> None:
        given = set(self.folder.choices.parameters) | self._draft_names()
        if self.published.resource["resourceType"] == "Measure":
            given.add(PERIOD)
        for library, name in self._parameters():
            if name not in given and name not in library.defaults:
                self.fault(
                    f"The parameter {name!r} of {library.id} has no default; knowledge.toml must give its value."
                )

    def _activities(self) -> dict[str, Mapping[str, Any]]:
        activities: dict[str, Mapping[str, Any]] = {}
        for action in every_action(self.published.resource):
            canonical = action.get("definitionCanonical")
            if not canonical:
                continue
            published = self.folder.resolve("ActivityDefinition", str(canonical))
            if isinstance(published, str):
                self.fault(published)
            else:
                activities[str(canonical)] = published.resource
        return activities


def _library_name(pair: tuple[Published, Library]) -> str:
    return pair[1].id


def every_action(holder: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the actions of a plan and those inside them."""
    for action in holder.get("action") or ():
        yield action
        yield from every_action(action)
