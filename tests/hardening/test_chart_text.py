"""Chart text: its length is bounded where it is decoded, and no reader of text is worse than linear."""

import asyncio
import cProfile
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from cards.text import escape, plain
from cds_hooks import computing
from cds_hooks.services import find_services
from fhir.mapping.allergies import allergies
from fhir.mapping.medications.sig import LONGEST_SIG, read_sig
from fhir.mapping.medications.sig_frequency import find_frequencies, named_days, normalise_sig
from fhir.record.datatypes import LONGEST_TEXT, parse_time
from fhir.record.record import PatientRecord, read_record, read_value
from fhir.terminology.allergens import allergen_of_words
from fhir.terminology.caching import CACHES, LONGEST_KEY_TEXT
from fhir.terminology.combination_products import strengths_without_unit
from fhir.terminology.dosing import dose_unit, is_local_route
from fhir.terminology.medication_names import LONGEST_NAME, read_name
from fhir.terminology.medication_strength import read_strengths
from tests.cds_hooks.calls import client
from tests.cds_hooks.services.test_every_service import CALLS, requests_of
from tests.each import for_rows
from tests.fhir.builders import allergy, medication_order, problem
from tests.fhir.record.test_text_budget import prose_paths, with_text

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
_DIRECTIONS = "1 tab every 6 h as needed, no history of cancer".ljust(76, "-")
_STEPS_OF_A_TEXT = 400
"""So many function calls for a different text are no growth, whatever it is read for."""


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


# Of the places of prose every service has another twentieth.
@pytest.mark.slow
@pytest.mark.parametrize(("service", "hook"), CALLS)
def test_twice_as_many_different_texts_are_at_most_twice_the_work_of_a_call(
    service: str, hook: str, tmp_path: Path, as_of: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function calls of Python are counted, beyond those for as many resources with the same text at this place."""
    monkeypatch.setattr(computing, "_LOOP_SECONDS", 60.0)  # what is computed again would be counted twice
    requests = requests_of(service, hook, as_of)
    request = requests[0]
    values = [value for sent in requests for value in sent["prefetch"].values() if value]
    entries = [entry["resource"] for value in values for entry in value.get("entry", [])]
    samples = {resource["resourceType"]: resource for resource in reversed([*entries, *values])}
    patient = {"reference": f"Patient/{request['context']['patientId']}"}
    templates = find_services(file="separate")[service].discovery()[0]["prefetch"]
    kinds = {template.split("?")[0].split("/")[0]: key for key, template in templates.items()}
    # One place for each member of each kind of holder: a text of an identifier is read alike wherever it stands.
    places = {(kind, path[-3:]): (key, kind, path) for kind, key in kinds.items() for path in prose_paths(kind)}

    async def steps(calls: httpx.AsyncClient, key: str, kind: str, path: tuple[str, ...], texts: list[str]) -> int:
        owned = {"subject": patient, "patient": patient, "beneficiary": patient}
        sample = {"status": "active", "resourceType": kind, **samples.get(kind, {}), **owned}
        resources = [with_text(path, text, sample) for text in texts]
        entries = [{"resource": {**resource, "id": f"r{number}"}} for number, resource in enumerate(resources)]
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
        profile = cProfile.Profile()
        profile.enable()
        answer = await calls.post(
            f"/cds-services/{service}",
            json={**request, "hookInstance": str(uuid4()), "prefetch": {**request["prefetch"], key: bundle}},
        )
        profile.disable()
        assert answer.status_code < 500, (kind, path)
        return sum(entry.callcount for entry in profile.getstats())

    async def more_than_twice() -> list[object]:
        async with client(tmp_path, as_of=as_of) as calls:
            found: list[object] = []
            for place in list(places.values())[CALLS.index((service, hook)) % 20 :: 20]:
                work = [
                    await steps(calls, *place, [f"{number} {_DIRECTIONS}" for number in numbers])
                    for numbers in ([180, 181], [0] * 60, range(60), [60] * 120, range(60, 180))
                ]  # the first call loads what it needs
                once, twice = work[2] - work[1], work[4] - work[3]
                if twice > 2.5 * max(once, 60 * _STEPS_OF_A_TEXT):
                    found.append((*place, work))
            return found

    assert asyncio.run(more_than_twice()) == []


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


def test_no_long_text_is_kept_as_a_key() -> None:
    read_name("warfarin " * 40)
    read_sig("1 tablet daily " * 20)
    for cache in CACHES.values():
        for key in cache:
            texts = [each for each in (key if isinstance(key, tuple) else (key,)) if isinstance(each, str)]
            assert all(len(text) <= LONGEST_KEY_TEXT for text in texts), cache.name


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
        observation = read.entry[0].resource if value is not resource else read
        component = observation.component[0]
        texts = (observation.code.text, component.code.coding[0].display, component.valueString)
        expected = "a\nb" if "\n" in white else "a b"
        assert [*texts, observation.note[0].text] == [expected] * 4


def test_what_is_no_run_stays_as_it_was_written() -> None:
    resource = problem('a b\nc\\n\\nd "e": f', status=None, patient="p")
    for indent in (None, 4):
        read, _ = read_value("problems", json.dumps(resource, indent=indent).encode())
        assert read.code.text == 'a b\nc\\n\\nd "e": f'
