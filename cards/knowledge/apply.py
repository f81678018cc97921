"""Applies a PlanDefinition to one patient: what each of its actions says, or why it says nothing.

HL7 Clinical Reasoning, R4 (https://hl7.org/fhir/R4/plandefinition.html) and the mapping of a PlanDefinition to a card
in HL7's draft (https://hl7.org/fhir/uv/cpg), read on 2026-11-28. An action whose conditions are all true is a card.
False, null, not known and failed are four silences, each with its reason.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from cards.card import SUMMARY_LIMIT, Indicator
from cards.fhir_validity import new_faults
from cards.knowledge.artifact import DRAFT_PARAMETERS, Artifact
from cards.knowledge.elm.compiling import Body
from cards.knowledge.elm.errors import CqlError, LimitExceeded, NotSupported, UnknownData
from cards.knowledge.elm.evaluation import Chart, Evaluation, read_instant
from cards.knowledge.elm.fhir_model import Node
from cards.knowledge.elm.parameters import as_json
from cards.knowledge.elm.values import Interval, Tuple, Value, plain, type_name
from cards.text import escape

State: TypeAlias = Literal["true", "false", "null", "unknown", "failed"]
Json: TypeAlias = dict[str, Any]

SILENCES: Final[Mapping[State, str]] = {
    "false": "below-threshold", "null": "input-missing", "unknown": "input-missing", "failed": "failed",
}  # fmt: skip
_INDICATORS: Final[Mapping[str, Indicator]] = {
    "routine": "info",
    "urgent": "warning",
    "asap": "warning",
    "stat": "critical",
}
_STRENGTH: Final = "http://hl7.org/fhir/StructureDefinition/cqf-strengthOfRecommendation"
_QUALITY: Final = "http://hl7.org/fhir/StructureDefinition/cqf-qualityOfEvidence"
_HTML: Final = re.compile(r"<[^<>]{0,500}>")
_LONGEST_DETAIL: Final = 4000
_MOST_RESOURCES: Final = 20
# elements of an ActivityDefinition that a request has under the same name
_TAKEN: Final = {
    "ServiceRequest": ("code", "bodySite", "doNotPerform", "priority"),
    "MedicationRequest": ("doNotPerform", "priority"),
    "CommunicationRequest": ("doNotPerform", "priority"),
    "Task": ("code", "priority"),
}


class ConditionValue(Struct, frozen=True):
    """One definition that was evaluated: its value and the resources that it is made of."""

    name: str
    value: Any
    resources: tuple[str, ...] = ()


class OfferedAction(Struct, frozen=True):
    """A nested action that can be accepted: what it is called and the requests that it makes."""

    label: str
    resources: tuple[Json, ...] = ()


class Advice(Struct, frozen=True, kw_only=True):
    """What an action whose conditions are true says on a card."""

    summary: str
    detail: str
    indicator: Indicator
    source_label: str
    source_url: str | None
    offers: tuple[OfferedAction, ...] = ()
    at_most_one: bool = False
    override_reasons: tuple[tuple[str, str, str], ...] = ()
    strength: str | None = None
    quality: str | None = None
    links: tuple[tuple[str, str], ...] = ()


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one action: advice where its conditions are true, else the reason for its silence."""

    action: str
    state: State
    reason: str = ""
    advice: Advice | None = None
    conditions: tuple[ConditionValue, ...] = ()
    withheld: tuple[str, ...] = ()
    """Why a nested action is not offered."""


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
    instant, home = read_instant(now)
    chart = Chart([item for item in resources if not _in_error(item)], home, unknown)
    return apply_to_chart(artifact, chart, instant, hook=hook, drafts=drafts)


def apply_to_chart(
    artifact: Artifact, chart: Chart, instant: Any, *, hook: str | None = None, drafts: Iterable[Json] = ()
) -> list[Outcome]:
    """Return what `apply` returns, for a chart that several artifacts read."""
    given = list(drafts)
    parameters = {**artifact.parameters, **dict.fromkeys(artifact.draft_parameters or DRAFT_PARAMETERS, given)}
    evaluation = Evaluation(chart, artifact.value_sets, instant, parameters)
    plan = _Plan(artifact, evaluation, chart)
    return [plan.outcome(action) for action in artifact.actions if _is_triggered(action, hook)]


def _in_error(resource: Json) -> bool:
    status = resource.get("verificationStatus") or {}
    codes = {coding.get("code") for coding in status.get("coding") or ()} if isinstance(status, dict) else set()
    return resource.get("status") == "entered-in-error" or "entered-in-error" in codes


def _is_triggered(action: Mapping[str, Any], hook: str | None) -> bool:
    names = {trigger.get("name") for trigger in action.get("trigger") or ()}
    return hook is None or not names or hook in names


class _Plan:
    """The actions of one artifact, with the evaluation that they share."""

    def __init__(self, artifact: Artifact, evaluation: Evaluation, chart: Chart) -> None:
        self.artifact = artifact
        self.evaluation = evaluation
        self.chart = chart

    def outcome(self, action: Mapping[str, Any]) -> Outcome:
        title = str(action.get("title") or action.get("id") or self.artifact.title)
        state, reason = self._state(action)
        conditions = self._explained(action)
        if state != "true":
            return Outcome(action=title, state=state, reason=reason, conditions=conditions)
        try:
            advice, withheld = self._advice(action)
        except (CqlError, NotSupported) as error:
            return Outcome(
                action=title, state="failed", reason=_failure(error, "a dynamic value"), conditions=conditions
            )
        return Outcome(action=title, state="true", advice=advice, conditions=conditions, withheld=withheld)

    def _state(self, action: Mapping[str, Any]) -> tuple[State, str]:
        """Return the state of the conditions together: one that is false decides."""
        worst: tuple[State, str] = ("true", "")
        for name in _conditions(action):
            state, reason = self._condition(name)
            if state == "false":
                return state, reason
            worst = min(worst, (state, reason), key=lambda pair: ("failed", "unknown", "null", "true").index(pair[0]))
        return worst

    def _condition(self, name: str) -> tuple[State, str]:
        try:
            value = plain(self.evaluation.run(self.artifact.expressions[name]))
        except UnknownData as error:
            return "unknown", f"{name!r} needs the patient's {error.resource_type} resources, which are not known."
        except (CqlError, NotSupported) as error:
            return "failed", _failure(error, repr(name))
        if value is True:
            return "true", ""
        if value is False:
            return "false", f"{name!r} is false."
        if value is None:
            return "null", f"{name!r} has no value: {self._what_is_missing(self.artifact.expressions[name])}"
        return "failed", f"{name!r} is neither true nor false."

    def _what_is_missing(self, body: Body) -> str:
        """Name the definitions without a value that rest on no other one, and the Retrieves that found nothing."""
        values = self.evaluation.values
        without = [reached for reached in body.reachable() if reached in values and values[reached] is None]
        first = [reached for reached in without if not any(used in without for used in reached.uses)] or [body]
        names = ", ".join(repr(reached.name) for reached in first)
        retrieved = self.evaluation.retrieved
        kinds = sorted({kind for reached in first for kind, key in reached.retrieves if retrieved.get(key) == []})
        if kinds:
            return f"nothing was found among the patient's {', '.join(kinds)} resources for {names}."
        return f"an element that {names} compares is missing."

    # What the explanation page shows

    def _explained(self, action: Mapping[str, Any]) -> tuple[ConditionValue, ...]:
        bodies: dict[Body, None] = {}
        for name in _conditions(action):
            if name in self.artifact.expressions:
                bodies.update(dict.fromkeys(self.artifact.expressions[name].reachable()))
        return tuple(
            ConditionValue(body.title, _shown(self.evaluation.values[body]), self._resources(body))
            for body in bodies
            if not body.is_fixed and body in self.evaluation.values and body.name != "Patient"
        )

    def _resources(self, body: Body) -> tuple[str, ...]:
        """Return the resources that the value of a definition holds, else those that it was made of."""
        held = _references(self.evaluation.values[body])
        if held:
            return held
        return _references([self.evaluation.retrieved.get(key) for _, key in body.retrieves])

    # What a card says

    def _advice(self, action: Mapping[str, Any]) -> tuple[Advice, tuple[str, ...]]:
        stated = {**action, **self._dynamic_values(action)}
        label, url = self._source(action)
        offers, reasons, withheld = self._nested(action)
        summary = _one_line(str(stated.get("title") or self.artifact.title))
        return Advice(
            summary=summary,
            detail=_detail(str(stated.get("description") or self.artifact.resource.get("description") or "")),
            indicator=self._indicator(str(stated.get("priority") or "routine")),
            source_label=label,
            source_url=url,
            offers=offers,
            at_most_one=action.get("selectionBehavior") in {"at-most-one", "exactly-one"},
            override_reasons=reasons,
            strength=_graded(action, _STRENGTH),
            quality=_graded(action, _QUALITY),
            links=tuple(_links(action)),
        ), withheld

    def _dynamic_values(self, action: Mapping[str, Any]) -> Json:
        values: Json = {}
        for dynamic in action.get("dynamicValue") or ():
            path = str(dynamic.get("path", "")).rpartition(".")[2]
            name = str((dynamic.get("expression") or {}).get("expression") or "")
            if path in {"title", "description", "priority"} and name in self.artifact.expressions:
                value = plain(self.evaluation.run(self.artifact.expressions[name]))
                if isinstance(value, str):
                    values[path] = value
        return values

    def _indicator(self, priority: str) -> Indicator:
        """Return how urgent the card is; critical only where the site's file says that this artifact may be."""
        indicator = _INDICATORS.get(priority, "info")
        return "warning" if indicator == "critical" and not self.artifact.may_be_critical else indicator

    def _source(self, action: Mapping[str, Any]) -> tuple[str, str | None]:
        resource = self.artifact.resource
        for document in (*(action.get("documentation") or ()), *(resource.get("relatedArtifact") or ())):
            if document.get("type", "documentation") in {"documentation", "citation"} and document.get("display"):
                return _one_line(str(document["display"])), _web(document.get("url"))
        publisher = str(resource.get("publisher") or self.artifact.title)
        return _one_line(publisher), _web(self.artifact.url)

    def _nested(
        self, action: Mapping[str, Any]
    ) -> tuple[tuple[OfferedAction, ...], tuple[tuple[str, str, str], ...], tuple[str, ...]]:
        offers, reasons, withheld = list[OfferedAction](), list[tuple[str, str, str]](), list[str]()
        for nested in action.get("action") or ():
            label = _one_line(str(nested.get("title") or nested.get("description") or ""))
            state, why = self._state(nested)
            if state != "true":
                withheld.append(f"{label or 'A nested action'} is not offered: {why}")
            elif nested.get("definitionCanonical"):
                offered = self._request(nested, label)
                (offers if isinstance(offered, OfferedAction) else withheld).append(offered)  # type: ignore[arg-type]
            elif nested.get("reason"):
                reasons += [reason for concept in nested["reason"] for reason in _override_reasons(concept)]
            elif label:
                offers.append(OfferedAction(label))
        return tuple(offers), tuple(dict.fromkeys(reasons)), tuple(withheld)

    def _request(self, nested: Mapping[str, Any], label: str) -> OfferedAction | str:
        """Return the request that an ActivityDefinition describes, if it is valid FHIR; else why it is not offered."""
        activity = self.artifact.activities[str(nested["definitionCanonical"])]
        label = label or _one_line(str(activity.get("title") or activity.get("name") or "Order"))
        kind = str(activity.get("kind"))
        if kind not in _TAKEN:
            return f"{label} is not offered: requests of the kind {kind} are not made."
        patients = self.chart.of_type("Patient") if "Patient" not in self.chart.unknown else []
        if len(patients) != 1 or not patients[0].raw.get("id"):
            return f"{label} is not offered: the patient's id is not known."
        resource = _request_of(activity, kind, f"Patient/{patients[0].raw['id']}")
        faults = new_faults(resource, {})
        if faults:
            return f"{label} is not offered: the request is not valid FHIR ({sorted(faults)[0][0]})."
        return OfferedAction(label, (resource,))


def _request_of(activity: Mapping[str, Any], kind: str, patient: str) -> Json:
    person = "for" if kind == "Task" else "subject"
    resource: Json = {"resourceType": kind, "status": "draft", person: {"reference": patient}}
    if kind != "CommunicationRequest":
        resource["intent"] = str(activity.get("intent") or "order")
    resource |= {name: activity[name] for name in _TAKEN[kind] if name in activity}
    if kind == "MedicationRequest":
        resource |= {name: activity[f"product{name[10:]}"] for name in _PRODUCTS if f"product{name[10:]}" in activity}
        if activity.get("dosage"):
            resource["dosageInstruction"] = activity["dosage"]
    if kind == "CommunicationRequest" and activity.get("description"):
        resource["payload"] = [{"contentString": str(activity["description"])}]
    return resource


_PRODUCTS: Final = ("medicationCodeableConcept", "medicationReference")


def _conditions(action: Mapping[str, Any]) -> list[str]:
    return [
        str((condition.get("expression") or {}).get("expression") or "")
        for condition in action.get("condition") or ()
        if condition.get("kind", "applicability") == "applicability"
    ]


def _failure(error: Exception, name: str) -> str:
    """Say what failed, without what the library says of the patient."""
    what = "a limit was reached" if isinstance(error, LimitExceeded) else "the evaluation ended without a value"
    return f"{name} could not be evaluated: {what}."


def _override_reasons(concept: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    collected = []
    for coding in concept.get("coding") or ():
        display = str(concept.get("text") or coding.get("display") or "").strip()
        if coding.get("system") and coding.get("code") and display:
            collected.append((str(coding["system"]), str(coding["code"]), display))
    return collected


def _graded(action: Mapping[str, Any], url: str) -> str | None:
    for extension in action.get("extension") or ():
        if extension.get("url") == url:
            concept = extension.get("valueCodeableConcept") or {}
            codings = concept.get("coding") or [{}]
            return str(concept.get("text") or codings[0].get("display") or codings[0].get("code") or "") or None
    return None


def _links(action: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for document in action.get("documentation") or ():
        url = _web(document.get("url"))
        if url is not None:
            yield _one_line(str(document.get("display") or document.get("citation") or "Documentation")), url


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
    if isinstance(value, Node | Tuple | Interval):
        try:
            return escape(str(as_json(value)), 200)
        except LimitExceeded:
            return f"a {type_name(value)} of more parts than are shown"
    return as_json(value) if not isinstance(value, str) else escape(value, 200)


def _references(value: Value) -> tuple[str, ...]:
    """Return the resources that a value consists of."""
    collected: dict[str, None] = {}
    seen: set[int] = set()
    waiting = [value]
    while waiting and len(collected) < _MOST_RESOURCES:
        part = waiting.pop(0)
        if id(part) in seen:  # a list can stand in another many times
            continue
        seen.add(id(part))
        if isinstance(part, list):
            waiting += part[:_MOST_RESOURCES]
        elif isinstance(part, Tuple):
            waiting += part.values()
        elif isinstance(part, Node) and isinstance(part.raw, dict) and "resourceType" in part.raw:
            collected[f"{part.type}/{part.raw.get('id')}"] = None
    return tuple(collected)
