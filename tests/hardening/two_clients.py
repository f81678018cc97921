"""Two clients of a trust file, and signed calls of any size."""

from __future__ import annotations

import http.client
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from cds_hooks.tools.kit.simulator.signing import SigningKey, new_key, sign_token
from tests.fhir.builders import bundle, medication_order

PATH = "/cds-services/order-safety"
_PATIENT = {"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1950-03-04"}
_DRUGS = ("197806", "197517", "198334", "861007", "1364445", "314229", "198051", "1049221", "312938", "309112")

Json = dict[str, Any]


def body_of(
    drafts: int, medications: int = 0, conditions: int = 0, results: int = 0, fhir_server: str | None = None
) -> bytes:
    """An order-sign call of that size. With `fhir_server` its prefetch is to be read from there."""
    days = [(datetime.now(UTC) - timedelta(days=n)).strftime("%Y-%m-%dT08:00:00Z") for n in range(400)]
    request: Json = {
        "hook": "order-sign",
        "hookInstance": str(uuid4()),
        "context": {
            "userId": "Practitioner/u",
            "patientId": "p",
            "draftOrders": bundle(
                *(_order(f"draft-{n}", _DRUGS[n % len(_DRUGS)], "draft", days[0]) for n in range(drafts))
            ),
        },
    }
    if fhir_server is not None:
        token = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "user/*.read", "subject": "s"}
        return orjson.dumps({**request, "fhirServer": fhir_server, "fhirAuthorization": token})
    orders = (_order(f"m{n}", _DRUGS[n % len(_DRUGS)], "active", days[n % 400]) for n in range(medications))
    problems = (_problem(f"c{n}", days[n % 400]) for n in range(conditions))
    labs = (_result(f"o{n}", days[n % 400]) for n in range(results))
    prefetch = {"patient": _PATIENT, "medications": bundle(*orders), "conditions": bundle(*problems)}
    others = {"labs": bundle(*labs), "allergies": None, "statements": None}
    return orjson.dumps({**request, "prefetch": prefetch | others})


def _order(identity: str, rxcui: str, status: str, day: str) -> Json:
    coding = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": rxcui}
    return medication_order(
        {"coding": [coding]},
        status=status,
        patient="p",
        id=identity,
        authoredOn=day,
        dosageInstruction=[{"text": "1 tablet twice daily"}],
    )


def _problem(identity: str, day: str) -> Json:
    active = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
    coding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": ("I10", "I50.9", "N18.4", "K74.60")[len(day) % 4]}
    subject = {"reference": "Patient/p"}
    problem = {"resourceType": "Condition", "id": identity, "clinicalStatus": active, "code": {"coding": [coding]}}
    return problem | {"subject": subject, "onsetDateTime": day}


def _result(identity: str, day: str) -> Json:
    code = {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]}
    quantity = {"value": 1.3, "unit": "mg/dL", "code": "mg/dL", "system": "http://unitsofmeasure.org"}
    result = {"resourceType": "Observation", "id": identity, "status": "final", "code": code, "valueQuantity": quantity}
    return result | {"subject": {"reference": "Patient/p"}, "effectiveDateTime": day}


# The site: two clients


def write_site(folder: Path, stalled: str) -> tuple[SigningKey, SigningKey, Path]:
    """The keys of the clients A, whose FHIR server is `stalled`, and B, and the trust file that names both."""
    keys = [new_key(f"https://{name}.example", "EdDSA") for name in ("a", "b")]
    text = "version = 1\n"
    for name, key in zip(("a", "b"), keys, strict=True):
        (folder / f"{name}.json").write_text(json.dumps(key.key_set()))
        text += f'[[client]]\nname = "{name}"\nissuers = ["https://{name}.example"]\nalgorithms = ["EdDSA"]\n'
        text += f'jwks_file = "{name}.json"\n' + (f'fhir = ["{stalled}"]\n' if name == "a" else "")
    file = folder / "trust.toml"
    file.write_text(text)
    return keys[0], keys[1], file


# The calls


def call(connection: http.client.HTTPConnection, key: SigningKey, body: bytes) -> int:
    """The status of one signed call."""
    return answer_to(connection, key, body).status


def answer_to(connection: http.client.HTTPConnection, key: SigningKey, body: bytes) -> http.client.HTTPResponse:
    """The answer to one signed call, which was read."""
    url = f"http://127.0.0.1:{connection.port}{PATH}"
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {sign_token(key, url)}"}
    connection.request("POST", PATH, body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer
