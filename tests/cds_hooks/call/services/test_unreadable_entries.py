"""An entry that no table knows is neither there nor absent: each service that looks for its kind names it."""

import copy
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from cds_hooks.call.services import find_services
from cds_hooks.samples import list_samples
from cds_hooks.tools.kit.simulator.chart import ChartError
from tests.cds_hooks.calls import client, request_for

Json = dict[str, Any]
WORDS = "Zzqvexol"
KEYS = {
    "MedicationRequest": "medications", "Condition": "conditions", "Observation": "observations",
    "AllergyIntolerance": "allergies", "Immunization": "immunizations",
}  # fmt: skip
SAMPLES = ("going-home", "af-no-anticoagulant", "diabetes-no-statin", "ckd4-metformin", "messy-record", "planning-talk")
# What a service is sent and does not look for by name: it counts drugs, asks the payer's rules by code, needs a genetic
# result first (test_genes_and_medications.py), or the sample's dispatched order is a test of the laboratory.
NOT_BY_NAME = {
    ("readmission-follow-up", "MedicationRequest"),
    ("genes-and-medications", "MedicationRequest"),
    ("coverage-requirements", "MedicationRequest"),
    ("nephrology-referral", "MedicationRequest"),  # read to see what is shown beside it
    ("planning-conversation", "MedicationRequest"),  # likewise
    ("order-safety", "Immunization"),  # looked for beside a drafted vaccine (tests/cases/rules/vaccine-not-today.json)
    ("discharge-medications", "Immunization"),  # likewise
    ("preventive-services", "Immunization"),  # read to see what has settled a result
}


def entry_of(kind: str, patient: str, day: str) -> Json:
    subject, words = {"reference": f"Patient/{patient}"}, {"text": WORDS}
    rest: dict[str, Json] = {
        "MedicationRequest": {"status": "active", "intent": "order", "subject": subject, "authoredOn": day},
        "Condition": {"subject": subject, "clinicalStatus": {"coding": [{"code": "active"}]}, "code": words},
        "Observation": {
            "status": "final", "subject": subject, "code": words, "effectiveDateTime": day,
            "category": [{"coding": [{"code": "laboratory"}]}], "valueQuantity": {"value": 5, "unit": "mg/dL"},
        },
        "AllergyIntolerance": {"patient": subject, "code": words},
        "Immunization": {"status": "completed", "patient": subject, "vaccineCode": words, "occurrenceDateTime": day},
    }  # fmt: skip
    drug = {"medicationCodeableConcept": {"text": f"{WORDS} 5 mg"}} if kind == "MedicationRequest" else {}
    return {"resourceType": kind, "id": WORDS.lower(), **rest[kind], **drug}


def requests_with(service: str, hook: str, kind: str, as_of: datetime) -> Iterator[Json]:
    """Calls for the samples whose chart also holds an entry that cannot be read."""
    samples = {sample.id: sample for sample in list_samples()}
    for name in SAMPLES:
        drafts = [order.draft for order in samples[name].orders][:1] if hook.startswith("order-s") else [None]
        for draft in drafts:
            with suppress(ChartError):  # at a discharge: a patient without a stay
                yield from _with_entry(request_for(service, hook, name, as_of, draft), kind, as_of)


def _with_entry(sent: Json, kind: str, as_of: datetime) -> Iterator[Json]:
    request = copy.deepcopy(sent)
    bundle = request.get("prefetch", {}).get(KEYS[kind])
    if bundle is not None:
        resource = entry_of(kind, request["context"]["patientId"], as_of.date().isoformat())
        bundle.setdefault("entry", []).append({"resource": resource})
        yield request


async def test_every_service_names_an_entry_of_the_kinds_it_looks_for(tmp_path: Path, as_of: datetime) -> None:
    missing = []
    async with client(tmp_path, as_of=as_of) as calls:
        for service in find_services(file="separate").values():
            for kind in KEYS:
                texts = []
                for request in requests_with(service.id, service.hooks[0], kind, as_of):
                    answer = await calls.post(f"/cds-services/{service.id}", json=request)
                    texts.append(answer.text.lower())
                    if WORDS.lower() in texts[-1]:
                        break
                if texts and not any(WORDS.lower() in text for text in texts):
                    missing.append((service.id, kind))
    assert set(missing) == NOT_BY_NAME
