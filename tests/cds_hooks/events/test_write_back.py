"""Findings of the worklist are written to the site's FHIR server once, and ended when a newer decision has none."""

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_hooks.events.declaration import DeclarationFault, WriteTarget, read_declaration
from cds_hooks.events.write_back import WriteBack
from tests.cds_hooks.events.messages import NOW, run_async
from tests.cds_hooks.events.test_rescoring import _resources, site


class FhirServer:
    """Takes what is put, by type and id, with the status that it is told."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, Any]] = {}
        self.puts = 0
        self.status = 201

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer a-token"
        self.puts += 1
        if self.status == 201:
            self.stored[request.url.path] = orjson.loads(request.content)
        return httpx.Response(self.status)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [resource for resource in self.stored.values() if resource["resourceType"] == kind]


@pytest.mark.parametrize(
    ("kind", "open_state", "over"), [("Flag", "active", "inactive"), ("Task", "requested", "cancelled")]
)
@run_async
async def test_a_finding_is_written_once_and_ended_with_the_decision_that_has_it_no_more(
    tmp_path: Path, kind: Any, open_state: str, over: str
) -> None:
    token, server, now = tmp_path / "token", FhirServer(), [NOW]
    token.write_text("a-token\n", encoding="utf-8")
    target = WriteTarget(url="https://ehr.example/fhir/", token_file=str(token), resources=(kind, "RiskAssessment"))
    resources, patient = _resources("ckd-uacr")
    async with site(tmp_path) as here, httpx.AsyncClient(transport=httpx.MockTransport(server.answer)) as http:
        writer = WriteBack(here.inbox, "ehr", target, "https://cds.example", lambda: now[0], here.url)
        here.take("1", resources, patient)
        await here.compute()
        server.status = 503
        await writer.send(http)
        assert server.stored == {}
        server.status, now[0] = 201, NOW + 600
        assert await writer.send(http) > 0
        written = server.puts
        assert await writer.send(http) == 0
        assert server.puts == written
        findings = server.of(kind)
        assert {finding["status"] for finding in findings} == {open_state}
        assert any("referral to nephrology" in finding["code"]["text"] for finding in findings)
        (estimate,) = [one for one in server.of("RiskAssessment") if one["method"]["text"].startswith("kfre_4")]
        assert estimate["prediction"][0]["probabilityDecimal"] == pytest.approx(0.0841, abs=1e-4)
        for resource in server.stored.values():
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        dead = {"resourceType": "Patient", "id": patient, "birthDate": "1950-01-01", "deceasedBoolean": True}
        here.take("2", [dead], patient)
        await here.compute()
        await writer.send(http)
        assert over in {finding["status"] for finding in server.of(kind)}


def test_a_declaration_of_what_is_written_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "events.toml"

    def fault(lines: str) -> str:
        path.write_text(f"[write_back.ehr]\n{lines}", encoding="utf-8")
        with pytest.raises(DeclarationFault) as raised:
            read_declaration(path, {})
        return str(raised.value)

    assert "written over https" in fault('url = "http://ehr.example/fhir"')
    assert "not as both" in fault('url = "https://ehr.example/fhir"\nresources = ["Flag", "Task"]')
    assert "is not there" in fault('url = "https://ehr.example/fhir"\ntoken_file = "no.token"')
