"""What an order says in words: its instructions and its reasons."""

from collections.abc import Iterator

from fhir.record.resources import MedicationRequest


def order_words(order: MedicationRequest) -> str:
    """Every instruction and reason of the order, one after the other."""
    return " ".join(_words(order))


def _words(order: MedicationRequest) -> Iterator[str]:
    for dosage in order.dosageInstruction:
        yield from (text for text in (dosage.text, dosage.patientInstruction) if text)
        yield from (each.words for each in dosage.additionalInstruction)
    yield from (reason.words for reason in order.reasonCode)
