"""Which vaccines are due: CDC's evaluation and forecast of the doses on record, at patient-view.

CDC, Logic Specification for ACIP Recommendations, with the supporting data in `cards/vaccines/data`.
"""

from cds_hooks.prefetch.needs import Needs
from cds_hooks.protocol.hooks import PATIENT_VIEW
from cds_hooks.services._service import Advice, Service, ServiceInput


async def decide(call: ServiceInput) -> Advice:
    """One card where a vaccine is due today, else the reason for none."""
    from cds_hooks.services._vaccines import judge_vaccines

    return judge_vaccines(call)


SERVICE = Service(
    id="vaccines-due",
    hooks=(PATIENT_VIEW,),
    title="Which vaccines are due",
    description=(
        "Evaluates the vaccine doses on record and forecasts the next ones for children and adults after CDC's logic "
        "specification for ACIP recommendations; one card with what is due today, silent if nothing is."
    ),
    usage_requirements="For physicians, nurses and pharmacists at an outpatient visit; never shown to patients.",
    needs=Needs.of(
        analytes=("pregnancy_signs",),
        resources=(
            "Immunization",
            "Condition",
            "AllergyIntolerance",
            "Procedure",
            "Encounter",
            "MedicationRequest",
            "MedicationStatement",
            "ServiceRequest",
        ),
    ),
    decide=decide,
)
