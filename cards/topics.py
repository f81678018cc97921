"""Static topics of our cards: clients count overrides by them (Epic: at most 100 characters, never changing)."""

from cards.card import Coding

TOPIC_SYSTEM = "https://cds-hooks-onnx.org/topics"

TOPICS = {
    "planning": Coding(system=TOPIC_SYSTEM, code="planning-conversation", display="Planning conversation"),
    "discharge": Coding(system=TOPIC_SYSTEM, code="discharge-medications", display="Medications at discharge"),
    "orders": Coding(system=TOPIC_SYSTEM, code="order-safety", display="Safety of a drafted order"),
}
