"""Hypothesis strategies for medications, as those of `strategies.py`: coded, in words, referenced, contained."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.elements import (
    ABSENT,
    CONDITION_CODES,
    RXNORM,
    SNOMED,
    Json,
    concepts,
    date_times,
    dosages,
    durations,
    ids,
    least,
    never_empty,
    one_of_elements,
    periods,
    quantities,
    ratios,
    references,
    resource_about,
    some,
    status_or_absent,
    words,
)

_DRUG_CODES = ("861007", "1364445", "1037045", "198014", "1648755", "6809", "316672", "0")
_DRUG_WORDS = ("metFORMIN 500 mg tab", "Naproxen 500mg", "apixaban", "water tablet", "ибупрофен 200 мг")


def _drugs() -> SearchStrategy[Json]:
    return concepts(RXNORM, _DRUG_CODES, _DRUG_WORDS)


def medications(*others: str) -> SearchStrategy[Json]:
    """A product with a code, a mixture, or an ingredient that points at one of `others` (itself, to make a loop)."""
    item = st.one_of(
        _drugs().map(lambda drug: {"itemCodeableConcept": drug}),
        references(*(others or ("Medication/nowhere",))).map(lambda target: {"itemReference": target}),
    )
    rest = some(isActive=st.booleans(), strength=ratios())
    ingredients = st.lists(st.builds(lambda item, rest: item | rest, item, rest), min_size=1, max_size=3)
    return least(
        {"resourceType": "Medication", "id": ids()},
        code=_drugs(),
        status=st.sampled_from(("active", "inactive", "entered-in-error")),
        form=words().map(lambda text: {"text": text}),
        identifier=st.lists(ids().map(lambda name: {"system": "urn:oid:1.2.3", "value": name}), min_size=1, max_size=2),
        ingredient=ingredients,
    )


@st.composite
def _medication_choice(draw: DrawFn) -> Json:
    """Coded, in words, referenced, or contained: two Medications, either of which may name the other as ingredient."""
    if draw(st.booleans()):
        return {"medicationCodeableConcept": draw(_drugs())}
    if draw(st.booleans()):
        return {
            "medicationReference": draw(references("Medication/m", "urn:uuid:5d1f0b3a-0000-4000-8000-000000000001"))
        }
    first = draw(medications("#one", "#two")) | {"id": "one"}
    second = draw(medications("#one", "#two")) | {"id": "two"}
    return {"contained": [first, second], "medicationReference": draw(references("#one", "#two", "#three"))}


def medication_requests(patient_id: str = "p") -> SearchStrategy[Json]:
    dispense = some(
        validityPeriod=periods(),
        numberOfRepeatsAllowed=st.integers(0, 11),
        quantity=quantities(),
        expectedSupplyDuration=durations(),
    )
    return resource_about(
        "MedicationRequest",
        patient_id,
        status_or_absent("active on-hold cancelled completed entered-in-error stopped draft unknown"),
        st.sampled_from(("proposal", "plan", "order", "reflex-order")).map(lambda intent: {"intent": intent}),
        _medication_choice(),
        some(
            doNotPerform=st.booleans(),
            encounter=references("Encounter/e"),
            authoredOn=date_times(),
            reasonCode=st.lists(concepts(SNOMED, CONDITION_CODES), min_size=1, max_size=2),
            dosageInstruction=st.lists(dosages(), min_size=1, max_size=3),
            dispenseRequest=never_empty(dispense, {"extension": [ABSENT]}),
            priorPrescription=references("MedicationRequest/r"),
        ),
    )


def medication_statements(patient_id: str = "p") -> SearchStrategy[Json]:
    return resource_about(
        "MedicationStatement",
        patient_id,
        status_or_absent("active completed entered-in-error intended stopped on-hold unknown not-taken"),
        _medication_choice(),
        one_of_elements(effectiveDateTime=date_times(), effectivePeriod=periods()),
        some(dateAsserted=date_times(), dosage=st.lists(dosages(), min_size=1, max_size=3)),
    )


def medication_dispenses(patient_id: str = "p") -> SearchStrategy[Json]:
    return resource_about(
        "MedicationDispense",
        patient_id,
        status_or_absent("preparation in-progress cancelled on-hold completed entered-in-error stopped declined"),
        _medication_choice(),
        some(
            authorizingPrescription=st.lists(references("MedicationRequest/r"), min_size=1, max_size=2),
            quantity=quantities(),
            daysSupply=durations(),
            whenPrepared=date_times(),
            whenHandedOver=date_times(),
            dosageInstruction=st.lists(dosages(), min_size=1, max_size=3),
        ),
    )


def medication_administrations(patient_id: str = "p") -> SearchStrategy[Json]:
    return resource_about(
        "MedicationAdministration",
        patient_id,
        status_or_absent("in-progress not-done on-hold completed entered-in-error stopped unknown"),
        _medication_choice(),
        # effective[x] is required, and the full reader takes no extension in its place
        st.one_of(st.builds(dict, effectiveDateTime=date_times()), st.builds(dict, effectivePeriod=periods())),
        some(request=references("MedicationRequest/r")),
    )
