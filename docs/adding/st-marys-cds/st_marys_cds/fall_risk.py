"""Asks at patient-view for a look at falls, where somebody takes a sleeping pill."""

from cards.card import Card, Source
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput, no_card
from fhir.mapping.features.feature import map_features
from st_marys_cds.sleep import FEATURES


def find(call: ServiceInput) -> Advice:
    """One info card for somebody who takes a sleeping pill, else the reason for none."""
    vector = map_features(call.record, FEATURES)
    if vector.missing:
        return no_card("fall-risk", "input-missing", vector.missing[0].sentence)
    if not vector.values[0]:
        return no_card("fall-risk", "within-limits", "No benzodiazepine or Z-drug is on the list.")
    card = Card(
        uuid=call.card_uuid(),
        summary="Takes a sleeping pill. Consider the fall assessment of St. Mary's.",
        indicator="info",
        source=Source(label="Fall prevention of St. Mary's"),
    )
    return Advice(cards=[card], features=vector)


ADVISOR = Advisor(
    id="fall-risk",
    hooks=(PATIENT_VIEW,),
    title="Falls and sleeping pills",
    description="Asks for the fall assessment where the patient takes a benzodiazepine or a Z-drug.",
    usage_requirements="For clinicians on the wards of St. Mary's.",
    needs=Needs.of(features=FEATURES),
    find=find,
)
