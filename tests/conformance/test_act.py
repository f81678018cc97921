"""ACT: actions."""

import json

import pytest

from cards.card import Action, CardError, check_card
from tests.cds_hooks.calls import ORDERS, request_for
from tests.conformance.answers import AS_OF, WITH_EVERY_HOOK, Answers, answers_of, wrong
from tests.conformance.conftest import Opened
from tests.conformance.outside import Json
from tests.conformance.rows import row
from tests.conformance.test_card import card, suggestion

# What a correction is about: how much, for how long, and the product where another strength is meant.
CORRECTED = {
    "dosageInstruction", "dispenseRequest", "medicationCodeableConcept", "medicationReference", "contained", "code",
}  # fmt: skip
RESOURCE = {"resourceType": "ServiceRequest", "id": "1"}


def _checked(action: Action) -> None:
    check_card(card(suggestions=(suggestion(actions=(action,)),), selection_behavior="any"))


@row("ACT-01")
def test_an_action_is_of_one_of_three_types(answers: Answers) -> None:
    assert {each["type"] for _, each in answers.actions} == {"create", "update", "delete"}
    for other in ("Create", "remove", ""):
        with pytest.raises(CardError, match="ACT-01"):
            _checked(Action(type=other, description="d", resource=RESOURCE))  # type: ignore[arg-type] # wrong on purpose


@row("ACT-02", "SYS-02")
def test_an_action_says_what_it_does(answers: Answers) -> None:
    assert wrong(answers.actions, lambda each: each["description"].strip()) == []
    with pytest.raises(CardError, match="ACT-02"):
        _checked(Action(type="create", description=" ", resource=RESOURCE))


@row("ACT-03")
def test_what_is_created_is_a_resource_with_an_id(answers: Answers) -> None:
    created = [(about, each["resource"]) for about, each in answers.actions if each["type"] == "create"]
    assert wrong(created, lambda each: isinstance(each, dict) and each["resourceType"] and each["id"]) == []


@row("ACT-04")
def test_what_is_updated_is_the_whole_draft(answers: Answers) -> None:
    updated = 0
    for each in answers.all:
        drafts = {
            entry["resource"]["id"]: entry["resource"]
            for entry in each.request["context"].get("draftOrders", {}).get("entry", ())
        }
        for action in _actions(each.document):
            if action["type"] == "update" and action["resource"]["id"] in drafts:
                updated += 1
                draft = drafts[action["resource"]["id"]]
                changed = {name for name in draft if draft[name] != action["resource"].get(name)}
                assert changed <= CORRECTED, each.about
    assert updated


def _actions(document: Json) -> list[Json]:
    return [
        action
        for card in document["cards"]
        for suggestion in card.get("suggestions", ())
        for action in suggestion.get("actions", ())
    ]


@row("ACT-05", "ACT-08")
def test_members_go_with_the_type(answers: Answers) -> None:
    def is_right(each: Json) -> bool:
        members = {"type", "description", "resourceId" if each["type"] == "delete" else "resource"}
        return set(each) == members

    assert wrong(answers.actions, is_right) == []
    for broken in (
        Action(type="delete", description="d", resource=RESOURCE),
        Action(type="delete", description="d", resource_id="1"),
        Action(type="delete", description="d"),
        Action(type="update", description="d", resource_id="ServiceRequest/1"),
        Action(type="create", description="d"),
    ):
        with pytest.raises(CardError, match=r"ACT-0[358]"):
            _checked(broken)


@row("ACT-05")
def test_what_is_deleted_is_a_draft_of_this_call(answers: Answers) -> None:
    deleted = 0
    for each in answers.of("order-select") + answers.of("order-sign"):
        sent = [entry["resource"] for entry in each.request["context"]["draftOrders"]["entry"]]
        names = {f"{resource['resourceType']}/{resource['id']}" for resource in sent}
        for action in _actions(each.document):
            if action["type"] == "delete":
                deleted += 1
                assert action["resourceId"] in names
    assert deleted


@row("ACT-06")
@pytest.mark.parametrize(
    ("version", "member"),
    [
        pytest.param("1.0", "resource", marks=pytest.mark.slow), ("1.1", "resource"), ("2.0", "resourceId"),
        pytest.param("3.0", "resourceId", marks=pytest.mark.slow),
    ],
)  # fmt: skip
@WITH_EVERY_HOOK
def test_what_is_deleted_is_named_as_the_clients_version_has_it(
    opened: Opened, version: str, member: str, hooks: tuple[str, ...]
) -> None:
    answers = answers_of(opened(protocol_version=version), *hooks)
    deletes = [each for _, each in answers.actions if each["type"] == "delete"]
    assert deletes
    assert all(isinstance(each[member], str) and "/" in each[member] for each in deletes)
    assert not any({"resource", "resourceId"} <= set(each) for each in deletes)


@row("ACT-03", "ACT-04")
def test_a_resource_is_json_and_no_text_of_json(opened: Opened) -> None:
    request = request_for(ORDERS, "order-select", "ckd3b-metformin", AS_OF, "metformin-renewal-2000")
    text = opened().call(ORDERS, json.dumps(request).encode()).text
    assert '"resource":"{' not in text
