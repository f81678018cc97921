"""Faults of responses, in general and for Epic."""

from typing import Any

from tests.cds_hooks.kit.contract.planting import GONE, Planted, both, card, habit, put


def _same_uuid(document: Any) -> Any:
    return put("cards", lambda cards: cards * 2)(document)


def _same_suggestion(document: Any) -> Any:
    return put("cards.0.suggestions", lambda suggestions: [suggestions[0], suggestions[0]])(document)


_FORM = "a_created_resource_has_the_form_of_fhir"
_CREATED = "cards.0.suggestions.0.actions.0.resource"

RESPONSES = (
    Planted("ACT-03", "a resource without status", response=put(f"{_CREATED}.status", GONE), check=_FORM),
    Planted("ACT-03", "a status of its own", response=put(f"{_CREATED}.status", "wanted"), check=_FORM),
    Planted("ACT-03", "an element of its own", response=put(f"{_CREATED}.priorityCode", "high"), check=_FORM),
    Planted("ACT-03", "a CodeableConcept as a string", response=put(f"{_CREATED}.code", "visit"), check=_FORM),
    Planted("ACT-03", "an array as an object", response=put(f"{_CREATED}.category", {"text": "x"}), check=_FORM),
    Planted("ACT-03", "a month that is none", response=put(f"{_CREATED}.authoredOn", "2026-13-40"), check=_FORM),
    Planted("ACT-03", "a date in words", response=put(f"{_CREATED}.authoredOn", "today"), check=_FORM),
    Planted("ACT-03", "two of a choice", response=put(f"{_CREATED}.quantityRange", {"low": {"value": 1}}), check=_FORM),
    Planted(
        "ACT-03",
        "an action on another patient",
        response=put("cards.0.suggestions.0.actions.0.resourceId", "Patient/another"),
        check="what_is_ordered_is_for_this_patient",
    ),
    Planted("RESP-01", "no cards", response=put("cards", GONE)),
    Planted("RESP-01", "cards as an object", response=put("cards", {})),
    Planted("RESP-01", "a string as card", response=put("cards.0", "advice")),
    habit("RESP-03", "silence is 204"),
    habit("GEN-01", "response with NaN"),
    habit("GEN-01", "response with a repeated member"),
    habit("GEN-11", "response as text"),
    habit("GEN-11", "response in Latin-1"),
    card("GEN-03", "null links", "links", None),
    card("GEN-03", "null in a resource", "suggestions.0.actions.0.resource.note", None),
    card("GEN-04", "empty suggestions", "suggestions", []),
    card("GEN-05", "an empty detail", "detail", ""),
    card("GEN-04", "an empty extension", "extension", {}),
    card("GEN-06", "a blank summary", "summary", "   "),
    card("GEN-06", "a blank code", "overrideReasons.0.code", " "),
    card("GEN-10", "a member of its own", "priority", 3),
    card("GEN-10", "a member of its own in an action", "suggestions.0.actions.0.priority", 3),
    card("GEN-08", "a quantity as a string", "suggestions.0.actions.0.resource.quantityQuantity.value", "1"),
    card("GEN-08", "a coding that is not an array", "suggestions.0.actions.0.resource.code", {"coding": {"code": "1"}}),
    card("CARD-01", "a number as uuid", "uuid", 5),
    card("CARD-01", "no uuid", "uuid", GONE),
    card("CARD-01", "words as uuid", "uuid", "card-1"),
    card("CARD-01", "an upper-case uuid", "uuid", lambda uuid: uuid.upper()),
    Planted("CARD-01", "two cards with one uuid", response=_same_uuid),
    card("CARD-03", "a summary of 140 characters", "summary", "x" * 140),
    card("CARD-03", "140 characters beyond the BMP", "summary", "\U0001f9ea" * 140),
    card("CARD-03", "no summary", "summary", GONE),
    card("CARD-03", "a summary as an object", "summary", {"text": "x"}),
    card("CARD-04", "detail as an array", "detail", ["x"]),
    card("CARD-05", "detail as an object", "detail", {"markdown": "x"}),
    card("CARD-04", "a detail of 200 KB", "detail", "x" * 200_000),
    habit("CARD-05", "text of the chart is raw"),
    card("CARD-06", "HTML in detail", "detail", "<p>Look</p>"),
    card("CARD-06", "HTML in summary", "summary", "<b>Look</b>"),
    card("CARD-06", "a summary of two lines", "summary", "Look\nHere"),
    card("CARD-06", "a script in detail", "detail", "[Look](javascript:alert(1))"),
    card("CARD-16", "a reason twice", "overrideReasons", lambda reasons: [*reasons, dict(reasons[0])]),
    card("CARD-08", "no indicator", "indicator", GONE),
    card("CARD-08", "indicator success", "indicator", "success"),
    card("CARD-08", "indicator hard-stop", "indicator", "hard-stop"),
    card("CARD-08", "a number as indicator", "indicator", 1),
    card("CARD-10", "no source", "source", GONE),
    card("CARD-10", "source as a string", "source", "Good server"),
    card("CARD-12", "suggestions as an object", "suggestions", {"label": "x"}),
    card("CARD-13", "no selectionBehavior", "selectionBehavior", GONE),
    card("CARD-14", "selectionBehavior all", "selectionBehavior", "all"),
    card("CARD-16", "overrideReasons as an object", "overrideReasons", {"reason": {"code": "x"}}),
    card("CARD-17", "a reason without display", "overrideReasons.0.display", GONE),
    card("CARD-19", "links as an object", "links", {"label": "x"}),
    card("CARD-20", "an array as extension", "extension", [{"url": "x"}]),
    card(
        "CARD-21",
        "an unknown non-adherence code",
        "overrideReasons.0",
        {
            "system": "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes",
            "code": "bored",
            "display": "Bored",
        },
    ),
    card("EXT-02", "a short name in extension", "extension", {"score": 5}),
    card("SRC-01", "no label", "source.label", GONE),
    card("SRC-01", "a number as label", "source.label", 7),
    card("SRC-02", "a relative url", "source.url", "/about"),
    card("SRC-02", "a mailto url", "source.url", "mailto:a@b.example"),
    card("SRC-03", "the patient in source.url", "source.url", "https://good.example/p/ckd4-metformin"),
    card("SRC-04", "a file as icon", "source.icon", "file://icon.png"),
    habit("SRC-05", "icon of 64 pixels"),
    habit("SRC-05", "icon with alpha"),
    habit("SRC-05", "icon is a GIF"),
    card("SRC-07", "a string as topic", "source.topic", "kidney"),
    card("COD-01", "a topic without code", "source.topic.code", GONE),
    card("COD-02", "a topic without system", "source.topic.system", GONE),
    card("COD-02", "a reason without system", "overrideReasons.0.system", GONE),
    card("COD-02", "a topic of a system without URI", "source.topic.system", "our topics"),
    card("COD-03", "a number as display", "source.topic.display", 1),
    card("COD-04", "a version in a Coding", "source.topic.version", "1"),
)

ACTIONS = (
    card("SUG-01", "no label", "suggestions.0.label", GONE),
    card("SUG-02", "a number as uuid", "suggestions.0.uuid", 4),
    card("FB-14", "no uuid", "suggestions.0.uuid", GONE),
    Planted("SUG-02", "two suggestions with one uuid", response=_same_suggestion),
    card("SUG-03", "isRecommended as a string", "suggestions.0.isRecommended", "true"),
    Planted(
        "SUG-04",
        "two recommended, one to choose",
        response=both(
            put("cards.0.selectionBehavior", "at-most-one"), put("cards.0.suggestions.1.isRecommended", True)
        ),
    ),
    card("SUG-05", "actions as an object", "suggestions.0.actions", {"type": "create"}),
    card("CAP-04", "actionSelectionBehavior", "suggestions.0.actionSelectionBehavior", "any"),
    card("SUG-08", "an unknown actionSelectionBehavior", "suggestions.0.actionSelectionBehavior", "some"),
    card("ACT-01", "no type", "suggestions.0.actions.0.type", GONE),
    card("ACT-01", "an upper-case type", "suggestions.0.actions.0.type", "CREATE"),
    card("ACT-02", "no description", "suggestions.0.actions.0.description", GONE),
    card("ACT-03", "create without resource", "suggestions.0.actions.0.resource", GONE),
    card("ACT-03", "a resource as a string", "suggestions.0.actions.0.resource", '{"resourceType": "Task"}'),
    card("ACT-03", "no resourceType", "suggestions.0.actions.0.resource.resourceType", GONE),
    card("ACT-03", "a type that R4 has not", "suggestions.0.actions.0.resource.resourceType", "MedicationOrder"),
    card("ACT-03", "an id with a space", "suggestions.0.actions.0.resource.id", "a b"),
    card("ACT-03", "a reference that is none", "suggestions.0.actions.0.resource.requester", {"reference": "Dr Who"}),
    card("ACT-03", "a reference to nothing", "suggestions.0.actions.0.resource.requester", {"reference": "#who"}),
    card("ACT-03", "another patient", "suggestions.0.actions.0.resource.subject.reference", "Patient/somebody-else"),
    card("ACT-04", "update without resource", "suggestions.1.actions.0.resource", GONE),
    card("ACT-04", "update without id", "suggestions.1.actions.0.resource.id", GONE),
    habit("ACT-04", "notes are lost"),
    card("ACT-05", "delete without resourceId", "suggestions.2.actions.0.resourceId", GONE),
    card("ACT-05", "delete with a bare id", "suggestions.2.actions.0.resourceId", "123"),
    card("ACT-06", "delete in the form of 1.0", "suggestions.2.actions.0.resource", "MedicationRequest/1"),
    card("ACT-08", "create with resourceId", "suggestions.0.actions.0.resourceId", "ServiceRequest/1"),
    card("ACT-08", "delete with resource", "suggestions.2.actions.0.resource", {"resourceType": "Task"}),
    card("LINK-01", "no label", "links.0.label", GONE),
    card("LINK-02", "no url", "links.0.url", GONE),
    card("LINK-02", "a relative url", "links.0.url", "more.html"),
    card("LINK-02", "the patient in the url", "links.0.url", "https://good.example/?p=ckd4-metformin"),
    card("LINK-03", "no type", "links.0.type", GONE),
    card("LINK-03", "type web", "links.0.type", "web"),
    card("LINK-04", "launch in the url", "links.1.url", "https://good.example/app?launch=1&iss=x"),
    card("LINK-05", "appContext as an object", "links.1.appContext", {"a": 1}),
    card("LINK-06", "appContext on an absolute link", "links.0.appContext", "a"),
    card("LINK-08", "autolaunchable as a string", "links.1.autolaunchable", "yes"),
    Planted("RESP-02", "systemActions as an object", response=put("systemActions", {"type": "update"})),
    Planted("RESP-10", "empty systemActions", response=put("systemActions", [])),
    Planted("SYS-01", "a system action of no type", response=put("systemActions.0.type", GONE)),
    Planted("SYS-02", "a system action not described", response=put("systemActions.0.description", GONE)),
)

EPIC = (
    Planted(
        "EPIC-01", "two actions", response=put("cards.0.suggestions.0.actions", lambda each: each * 2), dialect="epic"
    ),
    Planted("EPIC-02", "at-most-one", response=put("cards.0.selectionBehavior", "at-most-one"), dialect="epic"),
    Planted("EPIC-03", "a card without uuid", response=put("cards.0.uuid", GONE), dialect="epic"),
    Planted("EPIC-04", "no topic", response=put("cards.0.source.topic", GONE), dialect="epic"),
    Planted(
        "EPIC-04", "a topic of 101 characters", response=put("cards.0.source.topic.code", "x" * 101), dialect="epic"
    ),
    Planted(
        "EPIC-05", "no description", response=put("cards.0.suggestions.0.actions.0.description", " "), dialect="epic"
    ),
    Planted("EPIC-06", "category has to be an array", dialect="epic"),
    Planted("EPIC-07", "4101 is 500", dialect="epic"),
    Planted("EPIC-08", "triggers refused", dialect="epic"),
    Planted("EPIC-09", "overrideReasons refused", dialect="epic"),
)
