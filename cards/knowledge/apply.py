"""Applies a PlanDefinition to one patient: what each of its actions says, or why it says nothing.

HL7 Clinical Reasoning, R4 (https://hl7.org/fhir/R4/plandefinition.html) and the mapping of a PlanDefinition to a card
in HL7's draft (https://hl7.org/fhir/uv/cpg), read on 2026-11-28. An action whose conditions are all true is a card.
False, null, not known and failed are four silences, each with its reason.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from cards.card import SUMMARY_LIMIT, Action, Card, Coding, Indicator, Link, Source, Suggestion
from cards.fhir_validity import new_faults
from cards.knowledge.artifact import Artifact, conditions
from cards.knowledge.elm.compiling import Body
from cards.knowledge.elm.errors import CqlError, LimitExceeded, NotSupported, UnknownData
from cards.knowledge.elm.evaluation import Evaluation
from cards.knowledge.elm.fhir_model import Node
from cards.knowledge.elm.parameters import as_json
from cards.knowledge.elm.values import Interval, Tuple, Value, plain, type_name
from cards.text import escape

State: TypeAlias = Literal["failed", "unknown", "null", "true", "false"]
Json: TypeAlias = dict[str, Any]

SILENCES: Final[Mapping[State, str]] = {
    "false": "below-threshold", "null": "input-missing", "unknown": "input-missing", "failed": "failed",
}  # fmt: skip
_WORST_FIRST: Final = ("failed", "unknown", "null", "true")
_INDICATORS: Final[Mapping[str, Indicator]] = {"urgent": "warning", "asap": "warning", "stat": "critical"}
_GRADES: Final = {
    "Strength of the recommendation": "http://hl7.org/fhir/StructureDefinition/cqf-strengthOfRecommendation",
    "Quality of the evidence": "http://hl7.org/fhir/StructureDefinition/cqf-qualityOfEvidence",
}
_HTML: Final = re.compile(r"<[^<>]{0,500}>")
_LONGEST_DETAIL: Final = 4000
_MOST_RESOURCES: Final = 20
# elements of an ActivityDefinition that a request has, by the name that they have there
_TAKEN: Final[Mapping[str, Mapping[str, str]]] = {
    "ServiceRequest": {name: name for name in ("code", "bodySite", "doNotPerform", "priority")},
    "MedicationRequest": {
        "doNotPerform": "doNotPerform", "priority": "priority", "dosage": "dosageInstruction",
        "productCodeableConcept": "medicationCodeableConcept", "productReference": "medicationReference",
    },
    "CommunicationRequest": {name: name for name in ("doNotPerform", "priority")},
    "Task": {name: name for name in ("code", "priority")},
}  # fmt: skip


class ConditionValue(Struct, frozen=True):
    """One definition that was evaluated: its value and the resources that it is made of."""

    name: str
    value: Any
    resources: tuple[str, ...] = ()


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one action: a card where its conditions are true, else the reason for its silence.

    The card has no identity of the call yet: its uuid and those of its suggestions are empty. `withheld` says why a
    nested action is not offered.
    """

    action: str
    state: State
    reason: str = ""
    card: Card | None = None
    conditions: tuple[ConditionValue, ...] = ()
    withheld: tuple[str, ...] = ()


def apply(
    artifact: Artifact,
    resources: Iterable[Json],
    now: str,
    *,
    hook: str | None = None,
    drafts: Iterable[Json] = (),
    unknown: Iterable[str] = (),
) -> list[Outcome]:
    """Return what each action of the plan that the hook triggers says about the patient.

    `unknown` are the types of resources of which it is not known which ones the patient has. Nothing reads a clock:
    `now` is the instant of the evaluation.
    """
    given = list(drafts)
    parameters = {**artifact.parameters, **dict.fromkeys(artifact.drafts, given)}
    valid = [resource for resource in resources if not _in_error(resource)]
    plan = _Plan(artifact, Evaluation(valid, artifact.value_sets, now, parameters, unknown))
    return [plan.outcome(action) for action in artifact.actions if _is_triggered(action, hook)]


def _in_error(resource: Json) -> bool:
    status = resource.get("verificationStatus")
    codings = (status.get("coding") or ()) if isinstance(status, dict) else ()
    return "entered-in-error" in {resource.get("status"), *(coding.get("code") for coding in codings)}


def _is_triggered(action: Mapping[str, Any], hook: str | None) -> bool:
    names = {trigger.get("name") for trigger in action.get("trigger") or ()}
    return hook is None or not names or hook in names


class _Plan:
    """The actions of one artifact, with the evaluation that they share."""

    def __init__(self, artifact: Artifact, evaluation: Evaluation) -> None:
        self.artifact = artifact
        self.evaluation = evaluation

    def outcome(self, action: Mapping[str, Any]) -> Outcome:
        state, reason = self._state(action)
        card, withheld = None, list[str]()
        if state == "true":
            try:
                card = self._card(action, withheld)
            except (CqlError, NotSupported, AttributeError, TypeError) as error:
                state, reason = "failed", _failure(error, "a dynamic value, or what the card says,")
        return Outcome(
            action=str(action.get("title") or action.get("id") or self.artifact.title),
            state=state,
            reason=reason,
            card=card,
            conditions=tuple(self._explained(action)),
            withheld=tuple(withheld),
        )

    def _state(self, action: Mapping[str, Any]) -> tuple[State, str]:
        """Return the state of the conditions together: one that is false decides."""
        states: list[tuple[State, str]] = [("true", "")]
        for name in _names(action):
            states.append(self._condition(name))
            if states[-1][0] == "false":
                return states[-1]
        return min(states, key=lambda pair: _WORST_FIRST.index(pair[0]))

    def _condition(self, name: str) -> tuple[State, str]:
        body = self.artifact.expressions[name]
        try:
            value = plain(self.evaluation.run(body))
        except UnknownData as error:
            return "unknown", f"{name!r} needs the patient's {error.resource_type} resources, which are not known."
        except (CqlError, NotSupported) as error:
            return "failed", _failure(error, repr(name))
        if isinstance(value, bool):
            return ("true", "") if value else ("false", f"{name!r} is false.")
        if value is None:
            return "null", f"{name!r} has no value: {self._what_is_missing(body)}"
        return "failed", f"{name!r} is neither true nor false."

    def _what_is_missing(self, body: Body) -> str:
        """Name the definitions without a value that are based on no other one, and the Retrieves that found nothing."""
        values, retrieved = self.evaluation.values, self.evaluation.retrieved
        without = [reached for reached in body.reachable() if reached in values and values[reached] is None]
        first = [reached for reached in without if not any(used in without for used in reached.uses)] or [body]
        names = ", ".join(repr(reached.name) for reached in first)
        kinds = sorted({kind for reached in first for kind, key in reached.retrieves if retrieved.get(key) == []})
        if kinds:
            return f"nothing was found among the patient's {', '.join(kinds)} resources for {names}."
        return f"an element that {names} compares is missing."

    def _explained(self, action: Mapping[str, Any]) -> Iterator[ConditionValue]:
        """Yield each definition with its value and the resources that it holds, else those that it was made of."""
        values, bodies = self.evaluation.values, dict[Body, None]()
        for name in _names(action):
            bodies.update(dict.fromkeys(self.artifact.expressions[name].reachable()))
        for body in bodies:
            if body in values and body.name != "Patient":
                used = [self.evaluation.retrieved.get(key) for _, key in body.retrieves]
                yield ConditionValue(body.title, _shown(values[body]), _references(values[body]) or _references(used))

    # What a card says

    def _card(self, action: Mapping[str, Any], withheld: list[str]) -> Card:
        stated = {**action, **self._dynamic_values(action)}
        indicator = _INDICATORS.get(str(stated.get("priority")), "info")
        if indicator == "critical" and not self.artifact.may_be_critical:
            indicator = "warning"
        suggestions, reasons = self._nested(action, withheld)
        grades = [f"{words}: {escape(grade)}" for words, url in _GRADES.items() if (grade := _graded(action, url))]
        detail = _detail(str(stated.get("description") or self.artifact.resource.get("description") or ""))
        at_most_one = action.get("selectionBehavior") in {"at-most-one", "exactly-one"}
        return Card(
            uuid="",
            summary=_one_line(str(stated.get("title") or self.artifact.title)),
            indicator=indicator,
            source=self._source(action),
            detail="\n\n".join(filter(None, (detail, f"{'. '.join(grades)}." if grades else ""))) or None,
            suggestions=tuple(suggestions),
            selection_behavior=("at-most-one" if at_most_one else "any") if suggestions else None,
            override_reasons=tuple(dict.fromkeys(reasons)),
            links=tuple(_links(action)),
        )

    def _dynamic_values(self, action: Mapping[str, Any]) -> Json:
        values: Json = {}
        for dynamic in action.get("dynamicValue") or ():
            path = str(dynamic.get("path", "")).rpartition(".")[2]
            body = self.artifact.expressions.get(str((dynamic.get("expression") or {}).get("expression")))
            if path in {"title", "description", "priority"} and body is not None:
                value = plain(self.evaluation.run(body))
                if isinstance(value, str):
                    values[path] = value
        return values

    def _source(self, action: Mapping[str, Any]) -> Source:
        resource = self.artifact.resource
        for document in (*(action.get("documentation") or ()), *(resource.get("relatedArtifact") or ())):
            if document.get("type", "documentation") in {"documentation", "citation"} and document.get("display"):
                return Source(label=_one_line(str(document["display"])), url=_web(document.get("url")))
        label = _one_line(str(resource.get("publisher") or self.artifact.title))
        return Source(label=label, url=_web(self.artifact.url))

    def _nested(self, action: Mapping[str, Any], withheld: list[str]) -> tuple[list[Suggestion], list[Coding]]:
        suggestions, reasons = list[Suggestion](), list[Coding]()
        for nested in action.get("action") or ():
            label = _one_line(str(nested.get("title") or nested.get("description") or ""))
            state, why = self._state(nested)
            if state != "true":
                withheld.append(f"{label or 'A nested action'} is not offered: {why}")
            elif nested.get("definitionCanonical"):
                activity = self.artifact.activities[str(nested["definitionCanonical"])]
                label = label or _one_line(str(activity.get("title") or activity.get("name") or "Order"))
                resource = self._request(activity)
                if isinstance(resource, str):
                    withheld.append(f"{label} is not offered: {resource}")
                else:
                    action_of = Action(type="create", description=label, resource=resource)
                    suggestions.append(Suggestion(label=label, uuid="", actions=(action_of,)))
            elif nested.get("reason"):
                reasons += [reason for concept in nested["reason"] for reason in _override_reasons(concept)]
            elif label:
                suggestions.append(Suggestion(label=label, uuid=""))
        return suggestions, reasons

    def _request(self, activity: Mapping[str, Any]) -> Json | str:
        """Return the request that an ActivityDefinition describes, if it is valid FHIR; else why it is not offered."""
        kind = str(activity.get("kind"))
        if kind not in _TAKEN:
            return f"requests of the kind {kind} are not made."
        try:
            (patient_id,) = [patient.raw["id"] for patient in self.evaluation.resources("Patient")]
        except (UnknownData, ValueError, KeyError):
            return "the patient's id is not known."
        patient = {"reference": f"Patient/{patient_id}"}
        resource: Json = {"resourceType": kind, "status": "draft", "for" if kind == "Task" else "subject": patient}
        if kind != "CommunicationRequest":
            resource["intent"] = str(activity.get("intent") or "order")
        elif activity.get("description"):
            resource["payload"] = [{"contentString": str(activity["description"])}]
        resource |= {name: activity[given] for given, name in _TAKEN[kind].items() if activity.get(given)}
        faults = new_faults(resource, {})
        return f"the request is not valid FHIR ({min(faults)[0]})." if faults else resource


def _names(action: Mapping[str, Any]) -> list[str]:
    return [str(expression.get("expression") or "") for expression in conditions(action)]


def _failure(error: Exception, name: str) -> str:
    """Say what failed, without what the library says of the patient."""
    what = "a limit was reached" if isinstance(error, LimitExceeded) else "the evaluation ended without a value"
    return f"{name} could not be evaluated: {what}."


def _override_reasons(concept: Mapping[str, Any]) -> Iterator[Coding]:
    for coding in concept.get("coding") or ():
        display = str(concept.get("text") or coding.get("display") or "").strip()
        if coding.get("system") and coding.get("code") and display:
            yield Coding(system=str(coding["system"]), code=str(coding["code"]), display=display)


def _graded(action: Mapping[str, Any], url: str) -> str | None:
    for extension in action.get("extension") or ():
        if extension.get("url") == url:
            concept = extension.get("valueCodeableConcept") or {}
            coding = (concept.get("coding") or [{}])[0]
            return str(concept.get("text") or coding.get("display") or coding.get("code") or "")
    return None


def _links(action: Mapping[str, Any]) -> Iterator[Link]:
    for document in action.get("documentation") or ():
        url = _web(document.get("url"))
        if url is not None:
            label = str(document.get("display") or document.get("citation") or "Documentation")
            yield Link(label=_one_line(label), url=url, type="absolute")


def _web(url: Any) -> str | None:
    return url if isinstance(url, str) and re.fullmatch(r"https?://[^\s\"'<>\\]+", url) else None


def _one_line(text: str) -> str:
    line = " ".join(_HTML.sub(" ", text).split())
    return line if len(line) <= SUMMARY_LIMIT else line[: SUMMARY_LIMIT - 1].rstrip() + "…"


def _detail(text: str) -> str:
    """Return the publisher's Markdown without HTML, at a length that a card can show."""
    kept = _HTML.sub("", text.replace("\r\n", "\n")).replace("<", "‹").strip()
    return kept if len(kept) <= _LONGEST_DETAIL else kept[: _LONGEST_DETAIL - 1].rstrip() + "…"


def _shown(value: Value) -> Any:
    value = plain(value)
    if isinstance(value, list):
        return f"{len(value)} {'element' if len(value) == 1 else 'elements'}"
    try:
        shown = as_json(value)
    except LimitExceeded:
        return f"a {type_name(value)} of more parts than are shown"
    return escape(str(shown), 200) if isinstance(value, Node | Tuple | Interval | str) else shown


def _references(value: Value) -> tuple[str, ...]:
    """Return the resources that a value consists of."""
    collected, seen, waiting = dict[str, None](), set[int](), [value]
    while waiting and len(collected) < _MOST_RESOURCES:
        part = waiting.pop(0)
        if id(part) in seen:  # a list can stand in another many times
            continue
        seen.add(id(part))
        if isinstance(part, list | Tuple):
            waiting += list(part.values()) if isinstance(part, Tuple) else part[:_MOST_RESOURCES]
        elif isinstance(part, Node) and isinstance(part.raw, dict) and "resourceType" in part.raw:
            collected[f"{part.type}/{part.raw.get('id')}"] = None
    return tuple(collected)
