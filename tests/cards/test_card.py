"""The card on the wire, and the cards that the specification forbids."""

from typing import Any

import msgspec
import pytest

from cards.card import (
    OVERRIDE_REASONS,
    PATIENT_DECLINES,
    TOPICS,
    Action,
    Card,
    CardError,
    Coding,
    Link,
    Source,
    Suggestion,
    check_action,
    check_card,
)
from tests.each import for_rows

DELETE = Action(type="delete", description="Remove it", resource_id="MedicationRequest/1")


def card(**changes: Any) -> Card:
    whole: dict[str, Any] = {"uuid": "u", "summary": "s", "indicator": "info", "source": Source(label="Label")}
    return Card(**(whole | changes))


def suggestion(**changes: Any) -> Suggestion:
    whole: dict[str, Any] = {"label": "Do it", "uuid": "s1", "actions": (DELETE,)}
    return Suggestion(**(whole | changes))


def test_what_is_none_or_empty_is_left_out_of_the_bytes() -> None:
    assert msgspec.json.decode(msgspec.json.encode(check_card(card()))) == {
        "uuid": "u", "summary": "s", "indicator": "info", "source": {"label": "Label"},
    }  # fmt: skip


def test_the_wire_is_camel_case() -> None:
    whole = card(
        detail="d",
        suggestions=(suggestion(is_recommended=True),),
        selection_behavior="at-most-one",
        override_reasons=(Coding(system="http://x.test/s", code="c", display="d"),),
        links=(Link(label="l", url="https://x.test", type="smart", app_context="{}"),),
        extension={"org.cds-hooks-onnx": {}},
    )
    wire = msgspec.json.decode(msgspec.json.encode(check_card(whole)))
    assert wire["selectionBehavior"] == "at-most-one"
    assert wire["overrideReasons"] == [{"system": "http://x.test/s", "code": "c", "display": "d"}]
    assert wire["links"][0]["appContext"] == "{}"
    assert wire["suggestions"][0]["isRecommended"] is True
    assert wire["suggestions"][0]["actions"][0]["resourceId"] == "MedicationRequest/1"


def test_a_summary_of_139_code_points_passes_and_of_140_does_not() -> None:
    check_card(card(summary="🫀" * 139))
    with pytest.raises(CardError, match="CARD-03"):
        check_card(card(summary="🫀" * 140))


RESOURCE = {"resourceType": "MedicationRequest"}
FORBIDDEN: list[tuple[str, dict[str, Any]]] = [
    ("CARD-01", {"uuid": " "}),
    ("CARD-03", {"summary": " \n"}),
    ("CARD-04", {"detail": " "}),
    ("CARD-08", {"indicator": "success"}),
    ("CARD-13", {"suggestions": (suggestion(),)}),
    ("CARD-14", {"suggestions": (suggestion(),), "selection_behavior": "all"}),
    ("CARD-17", {"override_reasons": (Coding(system="s", code="c"),)}),
    ("COD", {"override_reasons": (Coding(system="", code="c", display="d"),)}),
    ("COD", {"source": Source(label="l", topic=Coding(system="s", code=" "))}),
    ("SRC-01", {"source": Source(label="")}),
    ("SRC", {"source": Source(label="l", url="/relative")}),
    ("SRC", {"source": Source(label="l", icon="data:image/png;base64,AA")}),
    ("LINK-01", {"links": (Link(label="", url="https://x.test", type="absolute"),)}),
    ("LINK-02", {"links": (Link(label="l", url="javascript:alert(1)", type="absolute"),)}),
    ("LINK-02", {"links": (Link(label="l", url="https://[", type="absolute"),)}),
    ("LINK-02", {"links": (Link(label="l", url="https:///path", type="absolute"),)}),
    ("LINK-03", {"links": (Link(label="l", url="https://x.test", type="page"),)}),  # type: ignore[arg-type] # on purpose
    ("LINK-06", {"links": (Link(label="l", url="https://x.test", type="absolute", app_context="c"),)}),
]
FORBIDDEN_SUGGESTIONS: list[tuple[str, tuple[Suggestion, ...]]] = [
    ("SUG-01", (suggestion(label=" "),)),
    ("SUG-02", (suggestion(uuid=""),)),
    ("SUG-02", (suggestion(), suggestion())),
    ("SUG-04", (suggestion(is_recommended=True), suggestion(uuid="s2", is_recommended=True))),
    ("ACT-01", (suggestion(actions=(Action(type="Create", description="d", resource=RESOURCE),)),)),  # type: ignore[arg-type] # on purpose
    ("ACT-02", (suggestion(actions=(Action(type="create", description="", resource=RESOURCE),)),)),
    ("ACT-03", (suggestion(actions=(Action(type="create", description="d"),)),)),
    ("ACT-03", (suggestion(actions=(Action(type="update", description="d", resource={}),)),)),
    ("ACT-05", (suggestion(actions=(Action(type="delete", description="d"),)),)),
    ("ACT-05", (suggestion(actions=(Action(type="delete", description="d", resource_id="https://x.test/A/1"),)),)),
    ("ACT-08", (suggestion(actions=(Action(type="delete", description="d", resource_id="A/1", resource=RESOURCE),)),)),
    ("ACT-08", (suggestion(actions=(Action(type="create", description="d", resource_id="A/1", resource=RESOURCE),)),)),
]


@for_rows(("fault", "changes"), FORBIDDEN)
def test_a_card_that_the_specification_forbids_is_refused(fault: str, changes: dict[str, Any]) -> None:
    with pytest.raises(CardError, match=fault):
        check_card(card(**changes))


@for_rows(("fault", "suggestions"), FORBIDDEN_SUGGESTIONS)
def test_a_suggestion_that_the_specification_forbids_is_refused(
    fault: str, suggestions: tuple[Suggestion, ...]
) -> None:
    with pytest.raises(CardError, match=fault):
        check_card(card(suggestions=suggestions, selection_behavior="at-most-one"))


def _faults(changed: Card) -> list[str]:
    try:
        check_card(changed)
    except CardError as error:
        return str(error).split("; ")
    return []


def test_every_sentence_that_a_card_breaks_is_given_in_order() -> None:
    coding = Coding(system=" ", code="")
    wrong = Action(type="remove", description=" ", resource_id="A/1")  # type: ignore[arg-type]
    deleted = Action(type="delete", description="d", resource=RESOURCE, resource_id="a/1")
    broken = Card(
        uuid="",
        summary=" " * 140,
        indicator="success",  # type: ignore[arg-type]
        detail="\n",
        source=Source(label=" ", url="ftp://x.test", icon="x", topic=coding),
        suggestions=(
            suggestion(is_recommended=True, label=" ", uuid=" ", actions=(wrong,)),
            suggestion(is_recommended=True, uuid=" ", actions=(deleted,)),
        ),
        selection_behavior="all",  # type: ignore[arg-type]
        override_reasons=(coding,),
        links=(Link(label="", url="x", type="page", app_context="c"),),  # type: ignore[arg-type]
    )
    assert _faults(broken) == [
        "CARD-01: no uuid, so no feedback can come", "CARD-03: summary is blank",
        "CARD-03: summary has 140 characters, 139 are allowed", "CARD-04: detail is blank", "leave it out",
        "CARD-08: indicator 'success'", "CARD-14: selectionBehavior 'all'",
        "SUG-04: 2 suggestions are recommended where at most one can be taken", "SUG-02: two suggestions share a uuid",
        "COD: override reason without system", "COD: override reason without code",
        "CARD-17: an override reason without display", "SRC-01: source without label",
        "SRC: source.url is not an absolute http(s) address", "SRC: source.icon is not an absolute http(s) address",
        "COD: source.topic without system", "COD: source.topic without code", "LINK-01: link without label",
        "LINK-02: link.url is not an absolute http(s) address", "LINK-03: link.type 'page'",
        "LINK-06: appContext on a link that is not smart", "SUG-01: suggestion without label",
        "SUG-02: suggestion without uuid, so no feedback can come", "ACT-01: action type 'remove'",
        "ACT-02: action without description", "ACT-03: remove needs a resource with resourceType",
        "ACT-08: remove carries a resourceId", "SUG-02: suggestion without uuid, so no feedback can come",
        "ACT-08: a delete carries a resource", "ACT-05: a delete needs resourceId in the shape Type/id",
    ]  # fmt: skip


@for_rows("reference", ["Task/1", "/1", "task/1", "Task/", "Task", "Task/1/2", "T1/2", "", None])
def test_what_is_deleted_is_named_by_type_and_id(reference: str | None) -> None:
    action = Action(type="delete", description="d", resource_id=reference)
    if reference == "Task/1":
        assert check_action(action) is action
    else:
        with pytest.raises(CardError, match=r"^ACT-05: a delete needs resourceId in the shape Type/id$"):
            check_action(action)


def test_the_reasons_and_topics_are_told_apart_by_their_codes() -> None:
    reasons = [*OVERRIDE_REASONS, PATIENT_DECLINES]
    assert [reason.code for reason in reasons] == [
        "patient-ineligible", "action-completed", "action-not-priority", "wrong-time-workflow",
        "inappropriate-recipient", "need-more-info", "recipient-does-not-trust", "patient-declines",
    ]  # fmt: skip
    assert {reason.system for reason in reasons} == {"https://cds-hooks-onnx.org/override-reasons"}
    assert {topic.system for topic in TOPICS.values()} == {"https://cds-hooks-onnx.org/topics"}
    assert len({topic.code for topic in TOPICS.values()}) == len(TOPICS) == 14
