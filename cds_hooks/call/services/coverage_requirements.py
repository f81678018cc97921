"""Coverage requirements of payers at the order (Da Vinci CRD 2.0.1): whether something is covered, and what is missing.

What it is computed with is loaded by the first call: a server whose clients never ask for it holds none of it.
"""

from typing import Final

from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import (
    APPOINTMENT_BOOK,
    ENCOUNTER_DISCHARGE,
    ENCOUNTER_START,
    ORDER_DISPATCH,
    ORDER_SELECT,
    ORDER_SIGN,
)
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput

_OPTIONS: Final = "davinci-crd.configuration-options"
# LOINC codes that criteria read beside our analytes: a test compares them with cards/coverage/criteria.json.
_CODES: Final = (
    "2703-7", "2708-6", "59408-5", "4544-3", "20570-8", "48703-3", "71833-8", "718-7", "30313-1", "20509-6", "59260-0",
    "2345-7", "2339-0", "2340-8", "41653-7", "15074-8", "14749-6", "14743-9", "10230-1", "8806-2", "18043-0", "8808-8",
    "98979-8", "62238-1", "33914-3", "77147-7", "88293-6", "88294-4", "8664-5", "74010-0",
)  # fmt: skip


def find(call: ServiceInput) -> Advice:
    """Give a system action for each order that a payer answers, or cards; a reason for each order without an answer."""
    from cds_hooks.call.services._coverage import advise  # loaded by the first call only

    return advise(call)


def _option(code: str, name: str, description: str) -> dict[str, object]:
    return {"code": code, "type": "boolean", "name": name, "description": description, "default": True}


ADVISOR = Advisor(
    id="coverage-requirements",
    hooks=(ORDER_SIGN, ORDER_SELECT, ORDER_DISPATCH, APPOINTMENT_BOOK, ENCOUNTER_START, ENCOUNTER_DISCHARGE),
    listed_ids={
        ORDER_SIGN: "coverage-requirements-sign",
        ORDER_SELECT: "coverage-requirements-select",
        ORDER_DISPATCH: "coverage-requirements-dispatch",
        APPOINTMENT_BOOK: "coverage-requirements-appointment",
        ENCOUNTER_START: "coverage-requirements-start",
        ENCOUNTER_DISCHARGE: "coverage-requirements-discharge",
    },
    title="Coverage requirements of the payer",
    description=(
        "Says of each order whether the payer covers it, whether prior authorization is needed and which documents are "
        "missing, by public rules of Medicare and by a payer's own tables; notes it on the order."
    ),
    usage_requirements="For those who order; it informs, and decides nothing about care.",
    needs=Needs.of(
        analytes=("bmi", "body_weight", "body_height", "smoking_status"),
        resources=(
            "Coverage",
            "ClaimResponse",
            "QuestionnaireResponse",
            "Condition",
            "Encounter",
            "Procedure",
            "DiagnosticReport",
            "MedicationRequest",
            "MedicationStatement",
            "ServiceRequest",
            "DeviceRequest",
            "Organization",
            "Location",
        ),
        whole_history=("Procedure",),
        lab_codes=_CODES,
        newest_results=True,
    ),
    find=find,
    returns_resources=frozenset(
        {
            "DeviceRequest",
            "ServiceRequest",
            "MedicationRequest",
            "Patient",
            "Coverage",
            "ClaimResponse",
            "QuestionnaireResponse",
            "Encounter",
            "Organization",
            "Location",
        }
    ),
    needs_patient=lambda _request: False,
    extension={
        _OPTIONS: [
            _option("coverage-info", "Coverage Information", "Notes on each order what the payer answers."),
            _option("claim", "Steps", "Shows what has to be added before the payer can answer."),
            _option("guideline", "Rules", "Links to the rule of the payer, and offers orders that go with an order."),
            _option("therapy-alternatives-opt", "Alternatives", "Offers orders that can take the place of an order."),
            _option("insurance", "Coverage", "Offers to add a coverage, or to correct its plan and period."),
        ]
    },
)
