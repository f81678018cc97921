"""What the advisors of the kidneys share: who sees a nephrologist already, their guideline and what they offer."""

from typing import Final

from cards.card import Source, Suggestion
from cards.new_orders import is_ordered, orderable_test_for
from cds_hooks.call.services._equation import offer, offer_of_test
from cds_hooks.call.services._exclusions import Exclusion, named
from cds_hooks.call.services._service import ServiceInput
from fhir.mapping.conditions import ConditionHit, find_condition
from fhir.record.record import PatientRecord

KDIGO_2024: Final = Source(
    label="KDIGO 2024 guideline on chronic kidney disease", url="https://doi.org/10.1016/j.kint.2023.10.018"
)
NO_REFERRAL: Final = "No referral was found in the last 12 months."
REFERRED_WORDS: Final = (
    *("nephrolog", "néphrolog", "nefrolog", "nefroloog", "nyremed", "njurmed"),
    *(" renal clinic", "kidney clinic", " renal medicine"),  # " ": no adrenal clinic
)
_DIALYSIS_WORDS = ("dialysis", "dialyse", "dialisi", "diálisi", "dialys", "hemofiltration", "haemofiltration")
_END_STAGE = frozenset({"N186", "5856", "46177005"})  # ICD-10-CM, ICD-9-CM, SNOMED CT: end-stage kidney disease


def _end_stage(record: PatientRecord) -> ConditionHit | None:
    """Return the end-stage kidney disease of the list: chronic dialysis or a transplant belongs to it."""
    hit = find_condition(record, "ckd5_or_dialysis")
    return hit if hit is not None and hit.code.replace(".", "") in _END_STAGE else None


DIALYSIS: Final = named(
    "excluded", "Dialysis is on the chart of the last three months ({found}).", _DIALYSIS_WORDS, 90.0
)
END_STAGE: Final = Exclusion(
    "excluded", "End-stage kidney disease is on the problem list: nephrology is at work.", _end_stage
)


def referral(call: ServiceInput, reason: str) -> Suggestion:
    """Return the draft of a referral to nephrology."""
    words = ("Refer to nephrology", "Draft referral to nephrology with the reason.", "Referral to nephrology")
    return offer(call, *words, reasonCode=[{"text": reason}])


def repeat(call: ServiceInput, analyte: str) -> tuple[Suggestion, ...]:
    """Return the order of the test, or nothing where it is ordered already."""
    test = orderable_test_for((analyte,))
    return () if test is None or is_ordered(call.record, test) else (offer_of_test(call, test),)
