"""Chart text: its length is bounded where it is decoded, and no reader of text is worse than linear."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from cards.text import escape, plain
from fhir.mapping.allergies import allergies
from fhir.mapping.medications.sig import LONGEST_SIG, read_sig
from fhir.mapping.medications.sig_frequency import find_frequencies, named_days, normalise_sig
from fhir.record.datatypes import LONGEST_TEXT, parse_time
from fhir.record.record import PatientRecord, read_record, read_resources, read_value
from fhir.record.resources import Observation
from fhir.terminology.allergens import allergen_of_words
from fhir.terminology.combination_products import strengths_without_unit
from fhir.terminology.dosing import dose_unit, is_local_route
from fhir.terminology.medication_names import LONGEST_NAME, read_name
from fhir.terminology.medication_strength import read_strengths
from tests.each import for_rows
from tests.fhir.builders import allergy, medication_order

PERCOCET = read_name("Percocet").ingredients
READERS: dict[str, Callable[[str], object]] = {
    "read_name": read_name,
    "read_sig": read_sig,
    "normalise_sig": normalise_sig,
    "find_frequencies": find_frequencies,
    "named_days": named_days,
    "read_strengths": read_strengths,
    "strengths_without_unit": lambda text: strengths_without_unit(PERCOCET, text),
    "allergen_of_words": allergen_of_words,
    "dose_unit": dose_unit,
    "is_local_route": lambda text: is_local_route(None, None, text),
    "parse_time": parse_time,
    "escape": escape,
    "plain": plain,
    "allergies": lambda text: allergies(_chart_with_allergy(text)),
}
ATOMS = (
    "a", "0", " ", "1 ", "1-", "1/", "1.", ",1", "(", "[x](", "warfarin 5 mg ", "5 mg/", "1 tab ", "q6h ", "mon-",
    "every ", "extended release ", "penicillin ", "swelling of the ", "max of ", "a.b.", "1 to ", "http://", "\t",
)  # fmt: skip
# Eight times the longest text that is read. A linear reader takes less than 0.1 seconds for it; what grows with the
# square takes more than the whole second, and what grows faster does not come back. Only this thread's work counts.
FOLD, SECONDS = 8, 1.0


def _chart_with_allergy(text: str) -> PatientRecord:
    entry = allergy(text, status=None, patient="p", id="a1")
    value, _ = read_value("allergies", json.dumps(entry).encode())
    return read_record({"allergies": value}, "p", datetime(2026, 11, 20, tzinfo=UTC))


def _seconds(reader: Callable[[str], object], atom: str, length: int) -> float:
    """Processor time of this thread: what else the machine does is not in it."""
    start = time.thread_time()
    reader(atom * (length // len(atom)))
    return time.thread_time() - start


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(READERS))
def test_no_reader_of_chart_text_is_worse_than_linear(name: str) -> None:
    # A text that the decoder would never hand on costs no more: 56 seconds for a sig of 100 KB were measured once.
    length = 100_000 if name in ("read_name", "read_sig") else FOLD * LONGEST_TEXT
    taken = {atom: _seconds(READERS[name], atom, length) for atom in ATOMS}
    assert not {atom: seconds for atom, seconds in taken.items() if seconds > SECONDS}


def test_a_text_that_is_too_long_is_cut_and_said_and_the_rest_of_the_resource_is_kept() -> None:
    order = medication_order(
        "warfarin 5 mg", intent=None, patient="p", id="m1",
        dosageInstruction=[{"text": "q6h " * 30_000, "patientInstruction": "x" * LONGEST_TEXT}],
    )  # fmt: skip
    for raw in (order, {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": order}]}):
        value, refusals = read_value("orders", json.dumps(raw).encode())
        read = value if raw is order else value.entry[0].resource
        assert read.medicationCodeableConcept.text == "warfarin 5 mg"
        assert len(read.dosageInstruction[0].text) == LONGEST_TEXT
        assert read.dosageInstruction[0].patientInstruction == "x" * LONGEST_TEXT
        assert [(one.reason, "m1" in one.text) for one in refusals] == [("text-cut", True)]
    # What was cut is not read as a dose: the rest might have said something else.
    sig = read_sig(read.dosageInstruction[0].text)
    assert sig.problem is not None
    assert sig.times_high is None


def test_a_name_that_is_too_long_is_no_name() -> None:
    assert read_name("warfarin " * (LONGEST_NAME // 9 + 1)).ingredients == ()
    assert LONGEST_SIG < LONGEST_TEXT


@for_rows("white", [" ", "\t", "\n", "\u00a0", "\u2003", "\u3000", " \u00a0", "\n\t "])
@for_rows("indent", [None, 2])
@for_rows("is_ascii", [True, False])
def test_a_run_of_white_space_reaches_no_reader(white: str, indent: int | None, is_ascii: bool) -> None:
    written = f"a{white * 600}b"
    resource = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": written},
        "component": [{"code": {"coding": [{"display": written}]}, "valueString": written}],
        "note": [{"text": written}],
        "subject": {"reference": "Patient/p"},
    }
    for value in (resource, {"resourceType": "Bundle", "entry": [{"resource": resource}]}):
        read, _ = read_value("labs", json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode())
        (observation,) = read_resources({"labs": read}, "p").by_type[Observation]
        component = observation.component[0]
        texts = (observation.code.text, component.code.coding[0].display, component.valueString)
        expected = "a\nb" if "\n" in white else "a b"
        assert [*texts, observation.note[0].text] == [expected] * 4
