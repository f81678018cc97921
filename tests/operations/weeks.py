"""Weeks of calls to a service in one go, by a clock that is set for each call: `python -m tests.operations.weeks`.

A program of its own, because a site's own features stay known in the process that has read them. Takes a JSON object
with the weeks and people, and prints the decision and the inputs of each call as a line.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import numpy as np

from cds_hooks.call import answer as answering
from cds_hooks.settings import Settings
from tests.cds_hooks.call.prefetch.fetch_calls import started_client
from tests.fhir.builders import observation
from tests.live import ONLY_IN_DEVELOPMENT

sys.modules[ONLY_IN_DEVELOPMENT] = None  # type: ignore[assignment]
_EMPTY = ("conditions", "encounters", "procedures", "tests")


def people(seed: int, count: int, sicker: float) -> list[dict[str, Any]]:
    """So many people; those of 65 and over have `sicker` times the creatinine."""
    draw = np.random.default_rng(seed)
    age, male = draw.integers(18, 90, count), draw.integers(0, 2, count)
    creatinine, procalcitonin = draw.lognormal(0.05, 0.35, count), draw.lognormal(0.05, 0.4, count)
    creatinine = np.where(age >= 65, creatinine * sicker, creatinine)
    # within what the model was fitted on, so that it estimates a risk for each of them
    creatinine, procalcitonin = creatinine.clip(0.5, 2.5), procalcitonin.clip(0.4, 3.2)
    columns = {"age": age, "male": male, "creatinine": creatinine.round(2), "procalcitonin": procalcitonin.round(2)}
    return [dict(zip(columns, map(float, row), strict=True)) for row in zip(*columns.values(), strict=True)]


def call_of(person: dict[str, float], name: str, at: datetime) -> dict[str, Any]:
    """The call of an EHR for this person at that time."""
    day = (at - timedelta(days=1)).date().isoformat()

    def result(code: str, value: float, unit: str) -> dict[str, Any]:
        return {"resource": observation(code, value, unit, day, patient=name, id=f"{name}-{code}")}

    born = (at - timedelta(days=365.25 * person["age"] + 100)).date().isoformat()
    labs = [result("2160-0", person["creatinine"], "mg/dL"), result("33959-8", person["procalcitonin"], "ng/mL")]
    patient = {"resourceType": "Patient", "id": name, "gender": "male" if person["male"] else "female"}
    bundle = {"resourceType": "Bundle", "type": "searchset"}
    return {
        "hook": "patient-view",
        "hookInstance": str(uuid4()),
        "context": {"userId": "Practitioner/1", "patientId": name},
        "prefetch": {
            "patient": patient | {"birthDate": born},
            "labs": bundle | {"entry": labs},
            **{key: bundle | {"entry": []} for key in _EMPTY},
        },
    }


async def serve(first_day: int, weeks: int, count: int, sicker: float) -> None:
    """Make so many calls a week, evenly over its days, and print a line for each: its decision and its inputs."""
    begin = datetime.now(UTC) - timedelta(days=first_day)
    configured = Settings(as_of=begin)
    # by the time of the machine a prediction becomes mature; here it is that of the calls
    answering.time_ns = lambda: int(configured.__dict__["as_of"].timestamp() * 1e9)  # type: ignore[attr-defined]
    async with started_client(configured) as client:
        while not (await client.get("/readyz")).is_success:
            await asyncio.sleep(0.1)
        for number, person in enumerate(people(first_day, weeks * count, sicker)):
            at = configured.__dict__["as_of"] = begin + timedelta(days=7 * number / count)
            call = call_of(person, f"p{first_day}-{number}", at)
            answer = (await client.post("/cds-services/nurse-visit", json=call)).raise_for_status().json()
            decision = answer["extension"]["org.cds-hooks-onnx"]["decision"]
            print(json.dumps({"decision": decision, **person}))


if __name__ == "__main__":
    asyncio.run(serve(**json.loads(sys.argv[1])))
