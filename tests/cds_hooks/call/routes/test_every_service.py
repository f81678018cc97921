"""Every service at each of its hooks answers a call that has only what it must; a server without its record says so."""

from datetime import datetime
from pathlib import Path
from typing import Any

from cds_hooks.call.services import find_services
from cds_hooks.tools.kit.contract.definitions import fields_of
from tests.cds_hooks.calls import client

_PATIENT = {"resourceType": "Patient", "id": "example", "gender": "female", "birthDate": "1953-04-12"}
_VALUES: dict[str, Any] = {"array": [], "object": {"resourceType": "Bundle", "type": "collection", "entry": []}}
_TEXTS = {"userId": "Practitioner/example", "performer": "Practitioner/example"}


async def test_every_service_answers_a_patient_of_whom_nothing_else_is_known(tmp_path: Path, as_of: datetime) -> None:
    async with client(tmp_path, as_of=as_of) as calls:
        for service in find_services(file="separate").values():
            keys = dict.fromkeys(template.key for template in service.templates)
            for hook in service.hooks:
                fields = [field for field in fields_of(hook) if field.required]
                request = {
                    "hook": hook,
                    "hookInstance": "7c1f7a52-5f3e-4d8e-9a41-0b8b4a6f2c11",
                    "context": {
                        field.name: _VALUES.get(field.type, _TEXTS.get(field.name, "example")) for field in fields
                    },
                    "prefetch": keys | {"patient": _PATIENT},
                }
                answer = await calls.post(f"/cds-services/{service.id}", json=request)
                assert answer.status_code == 200, f"{service.id} at {hook}: {answer.text}"
                assert answer.json()["cards"] == [] or answer.json()["cards"][0]["summary"], service.id


async def test_a_server_whose_record_is_away_lives_and_is_not_ready(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        before = await calls.get("/readyz")
        (tmp_path / "decisions.sqlite3").rename(tmp_path / "elsewhere")
        after = [await calls.get(path) for path in ("/readyz", "/livez")]
        assert "recorded" in after[0].text
        answered = [answer.status_code for answer in (before, *after)]
    assert answered == [200, 503, 200]
