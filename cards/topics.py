"""Static topics of our cards: clients count overrides by them (Epic: at most 100 characters, never changing)."""

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
    "orders": Coding(system=TOPIC_SYSTEM, code="order-safety", display="Safety of a drafted order"),
}
