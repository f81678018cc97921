"""What a service decides about a chart, without a server: its advice, its reason for none, and its one card."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from cards.card import Card
from cds_hooks.services import find_services
from cds_hooks.services._service import Advice, ServiceInput
from tests.fhir.builders import WOMAN, record_of, service_request

Json = dict[str, Any]
SEARCHED = frozenset(
    {
        "AllergyIntolerance", "Condition", "Encounter", "Immunization", "MedicationRequest", "MedicationStatement",
        "Observation", "Procedure", "ServiceRequest",
    }
)  # fmt: skip


def call_about(
    *resources: Json,
    patient: Json | None = None,
    encounter: str | None = None,
    user: str | None = "Practitioner/1",
    searched: frozenset[str] = SEARCHED,
    **settings: Any,
) -> ServiceInput:
    """A call about p1, a woman of 70, by a practitioner, with everything searched for and only this found."""
    nobody = cast("Any", None)
    context = SimpleNamespace(user_id=user, encounter_id=encounter)
    return ServiceInput(
        request=cast("Any", SimpleNamespace(context=context, hook="patient-view")),
        record=record_of(*resources, patient=patient or WOMAN).with_requested(searched),
        card_uuid=lambda: "u1",
        public_url="https://cds.example",
        decision_id="d1",
        predict=nobody,
        why_withheld=nobody,
        **settings,
    )


def decided(service: str, call: ServiceInput) -> Advice:
    """The advice of a service."""

    async def ask() -> Advice:
        return await find_services()[service].decide(call)

    return asyncio.run(ask())


def why_silent(advice: Advice) -> list[tuple[str, str]]:
    """The reasons of an advice without cards, each with its sentence."""
    assert advice.cards == []
    return [(silence.reason, silence.text) for silence in advice.silences]


def the_card(advice: Advice) -> Card:
    """The one card."""
    (card,) = advice.cards
    return card


def offered(card: Card) -> list[tuple[str, str, Any]]:
    """Label, description and resource of everything that a card offers."""
    return [
        (suggestion.label, action.description, action.resource)
        for suggestion in card.suggestions
        for action in suggestion.actions
    ]


def draft(number: str, words: str, **more: Any) -> Json:
    """An order in words, drafted on the day of the call."""
    return service_request(words, status="draft", id=number, authoredOn="2026-11-20") | more
