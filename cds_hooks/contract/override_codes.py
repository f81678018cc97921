"""The non-adherence reason codes of HL7 (HL7/cds-hooks main fb10ca7, CodeSystem-non-adherence-reason-codes.json)."""

from typing import Final

NON_ADHERENCE: Final = "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"
_CODES = """
    cds-not-applicable
        patient-ineligible indication-order-exists action-completed action-unsuccessful
        action-performed-no-adverse-effect action-not-priority
    cds-suboptimal-context
        limited-time wrong-time-workflow inappropriate-recipient need-more-info
    recipient-disagrees-evidence
        does-not-align-latest-evidence expert-contradicts policy-contradicts recipient-does-not-trust
    recipient-concerns-outcomes
        risk-benefit-ratio mitigate-risk-negative-outcome likely-negative-health-outcomes patient-contraindication
    does-not-align-preferences
        patient-fears-discomfort patient-does-not-want-change cultural-religious-reason prefers-alternative
        patient-refuses
    not-convenient-feasible
        inadequate-support service-not-available implementation-challenges too-costly-uncovered
        recipient-does-not-understand comorbidity-disability
"""
NON_ADHERENCE_CODES: Final = frozenset(_CODES.split())
