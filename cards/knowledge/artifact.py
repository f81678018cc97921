"""Checks a published artifact: with exactly what it names it can be evaluated, or each of its faults is named."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from cards.knowledge.elm import evaluation  # noqa: F401  (registers the nodes that are compiled)
from cards.knowledge.elm.clinical import ValueSet
from cards.knowledge.elm.compiling import Body, Library
from cards.knowledge.elm.errors import NotSupported
from cards.knowledge.folder import Fault, KnowledgeFolder, Published

_LANGUAGES: Final = frozenset({"text/cql-identifier", "text/cql.identifier", "text/cql"})
_DRAFTS: Final = ("ContextPrescriptions", "draftOrders", "DraftOrders")
PERIOD: Final = "Measurement Period"


class Artifact(Struct, frozen=True):
    """A PlanDefinition or a Measure that can be evaluated."""

    kind: str
    id: str
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
    drafts: tuple[str, ...]
    """The names of parameters that take the draft orders of a call."""
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
    checks = [_Check(folder, item) for kind in ("PlanDefinition", "Measure") for item in folder.of_kind(kind)]
    results = [check.result() for check in checks]
    folder.release()
    artifacts = [result for result in results if isinstance(result, Artifact)]
    return artifacts, [result for result in results if isinstance(result, Refused)], folder.faults


class _Check:
    """One artifact, what it reaches, and the faults that were found."""

    def __init__(self, folder: KnowledgeFolder, published: Published) -> None:
        self.folder = folder
        self.published = published
        self.resource = published.resource
        self.id = published.url.rpartition("/")[2].lower().replace("_", "-").replace(".", "-")
        self.faults: list[Fault] = []
        self.files: dict[str, str] = {}
        self.expressions: dict[str, Body] = {}
        self.bodies: dict[Body, None] = {}

    def fault(self, reason: str, file: str | None = None) -> None:
        self.faults.append(Fault(file or self.published.file, reason))

    def result(self) -> Artifact | Refused:
        try:
            artifact = self._checked()
        except (AttributeError, TypeError, ValueError) as error:
            self.fault(f"An element does not have the form that FHIR gives it ({error}).")
        if self.faults:
            return Refused(self.id, self.published.file, tuple(dict.fromkeys(self.faults)))
        return artifact

    def _checked(self) -> Artifact:
        choices = self.folder.choices
        self._look_at_status(self.published)
        libraries = self._libraries()
        value_sets = self._value_sets()
        self._look_at_parameters()
        activities = self._activities()
        parts = [self.published, *libraries.values(), *activities.values()]
        decisive = [choices.parameters, choices.drafts, *sorted(part.sha256 for part in parts)]
        decisive += [[url, value_sets[url].sha256] for url in sorted(value_sets)]
        return Artifact(
            kind=str(self.resource["resourceType"]),
            id=self.id,
            url=self.published.url,
            version=self.published.version,
            sha256=hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode()).hexdigest(),
            title=str(self.resource.get("title") or self.resource.get("name") or self.id),
            resource=self.resource,
            expressions=self.expressions,
            libraries=tuple(sorted(f"{library.id} {library.version}" for library in libraries)),
            value_sets=value_sets,
            differences=tuple(filter(None, map(self.folder.differences, value_sets))),
            reads=tuple(sorted({kind for body in self.bodies for kind, _ in body.retrieves})),
            drafts=(*choices.drafts, *_DRAFTS),
            parameters=choices.parameters,
            activities={canonical: published.resource for canonical, published in activities.items()},
            may_be_critical=self.id in choices.critical,
        )

    def _look_at_status(self, published: Published) -> None:
        status = published.resource.get("status")
        if status not in {"active", *self.folder.choices.accept_status}:
            self.fault(
                f"The status of the {published.resource['resourceType']} {published.url} is {status!r}, not 'active'; "
                "`accept_status` of knowledge.toml can accept another one.",
                published.file,
            )

    # What the artifact reaches

    def _libraries(self) -> dict[Library, Published]:
        stated = self.resource.get("library") or []
        identified = [stated] if isinstance(stated, str) else list(stated)
        if len(identified) != 1:
            self.fault(f"The artifact must name one library; it names {len(identified)}.")
            return {}
        published = self.folder.resolve("Library", str(identified[0]))
        if isinstance(published, str):
            self.fault(published)
            return {}
        self._look_at_status(published)
        linked, faults = self.folder.linked_libraries(published)
        self.faults += faults
        libraries = {library: published for published, library in linked}
        self.files = {library.id: published.file for library, published in libraries.items()}
        if libraries:
            main = next(iter(libraries))
            self._compile(main)
            used = {main, *(body.library for body in self.bodies)}
            for library in filter(used.__contains__, libraries):
                self._look_at_library(library)
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
                self.bodies.update(dict.fromkeys(body.reachable()))
                self.expressions[name] = body
            except NotSupported as error:
                reason = str(error)
                place = reason.removeprefix("In ").partition(".")[0] if reason.startswith("In ") else library.id
                self.fault(reason, self.files.get(place))

    def _names(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for action in every_action(self.resource):
            where = f"the action {str(action.get('title') or action.get('id') or '')!r}"
            for condition in conditions(action):
                yield f"A condition of {where}", condition
            for value in action.get("dynamicValue") or ():
                yield f"A dynamic value of {where}", value.get("expression") or {}
        for group in self.resource.get("group") or ():
            for population in group.get("population") or ():
                yield "A population", population.get("criteria") or {}

    def _look_at_library(self, library: Library) -> None:
        if library.converts_lists():
            self.fault(
                f"{library.id} was translated without DisableListDemotion and DisableListPromotion: "
                "a list may count as a value.",
                self.files[library.id],
            )
        reasons = [
            f"The translator could not translate a part of {library.id} and put null in its place: {message}"
            for message in library.translator_errors()
        ]
        reasons += [
            f"In {body.title}: {note}" for body in self.bodies if body.library is library for note in body.notes
        ]
        for reason in reasons:
            self.fault(reason, self.files[library.id])

    def _value_sets(self) -> dict[str, ValueSet]:
        value_sets: dict[str, ValueSet] = {}
        for url in sorted({url for body in self.bodies for url in body.value_sets}):
            members = self.folder.value_set(url)
            if isinstance(members, str):
                self.fault(members)
            else:
                value_sets[url] = members
        return value_sets

    def _look_at_parameters(self) -> None:
        given = {*self.folder.choices.parameters, *self.folder.choices.drafts, *_DRAFTS}
        if self.resource["resourceType"] == "Measure":
            given.add(PERIOD)
        for library, name in sorted({pair for body in self.bodies for pair in body.parameters}):
            if name not in given:
                self.fault(f"The parameter {name!r} of {library} has no default; knowledge.toml must give its value.")

    def _activities(self) -> dict[str, Published]:
        activities: dict[str, Published] = {}
        for action in every_action(self.resource):
            canonical = str(action.get("definitionCanonical") or "")
            published = self.folder.resolve("ActivityDefinition", canonical) if canonical else None
            if isinstance(published, str):
                self.fault(published)
            elif published is not None:
                activities[canonical] = published
        return activities


def conditions(action: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the expressions of the conditions that an action has."""
    stated = [item for item in action.get("condition") or () if item.get("kind", "applicability") == "applicability"]
    return [condition.get("expression") or {} for condition in stated]


def every_action(holder: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the actions of a plan and those inside them."""
    for action in holder.get("action") or ():
        yield action
        yield from every_action(action)
