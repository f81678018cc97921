"""The project's own codes on cards: the topics by which clients count overrides, and the reasons for an override.

Topics never change and have at most 100 characters, because some clients count by them (Epic). The code systems are
names; nothing is served at these addresses.
"""

from cards.card import Coding

TOPIC_SYSTEM = "https://cds-hooks-onnx.org/topics"

TOPICS = {
    "planning": Coding(system=TOPIC_SYSTEM, code="planning-conversation", display="Planning conversation"),
    "discharge": Coding(system=TOPIC_SYSTEM, code="discharge-medications", display="Medications at discharge"),
    "statin": Coding(system=TOPIC_SYSTEM, code="statin-discussion", display="Statin discussion"),
    "nephrology": Coding(system=TOPIC_SYSTEM, code="nephrology-referral", display="Nephrology referral"),
    "anticoagulation": Coding(system=TOPIC_SYSTEM, code="anticoagulation-discussion", display="Anticoagulation"),
    "liver": Coding(system=TOPIC_SYSTEM, code="liver-assessment", display="Liver assessment"),
    "follow-up": Coding(system=TOPIC_SYSTEM, code="discharge-follow-up", display="Follow-up after discharge"),
    "readmission": Coding(system=TOPIC_SYSTEM, code="readmission-follow-up", display="Follow-up after a stay"),
    "vaccines": Coding(system=TOPIC_SYSTEM, code="vaccines-due", display="Vaccines due"),
    "orders": Coding(system=TOPIC_SYSTEM, code="order-safety", display="Safety of a drafted order"),
}

OVERRIDE_SYSTEM = "https://cds-hooks-onnx.org/override-reasons"
"""The code system of the reasons that a clinician may give for not following a card."""

# responsible-ai.md 4.2 point 4: reasons that lead to something, in the project's own code system.
OVERRIDE_REASONS = tuple(
    Coding(system=OVERRIDE_SYSTEM, code=code, display=display)
    for code, display in (
        ("patient-ineligible", "Does not fit this patient"),
        ("action-completed", "Already done"),
        ("wrong-time-workflow", "Not now"),
        ("need-more-info", "I need to know more first"),
        ("recipient-does-not-trust", "I do not trust this estimate"),
    )
)
