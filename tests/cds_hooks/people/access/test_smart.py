"""The SMART EHR launch over real HTTP with a server made of Authlib: one patient, one clinician, each view recorded."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec
import pytest

from cds_hooks.evidence.storage.decision import Decision, new_decision_id
from tests.cds_hooks.calls import client
from tests.cds_hooks.people.access.browsing import BROWSER, Person, entries
from tests.cds_hooks.people.access.provider import Provider, providing
from tests.cds_hooks.people.access.test_login import visiting_provider
from tests.cds_hooks.people.pages.worklist.test_worklist_page import keep
from tests.cds_hooks.people.web.decisions import decided

URL = "http://localhost"
FHIR_USER = "https://ehr.example/fhir/Practitioner/7"


@cache
def _decided() -> Decision:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
        return thread.submit(decided, Path(folder), "planning-talk").result()


def decision_about(patient: str) -> Decision:
    """A decision about a patient of this EHR, as the server made it for a sample patient."""
    return msgspec.structs.replace(_decided(), id=new_decision_id(), client="ehr", patient=patient)


@pytest.fixture
def ehr() -> Iterator[Provider]:
    """An EHR whose clinician Dr. Sample has opened the chart of ann."""
    with providing(f"{URL}/launch/back") as started:
        started.person = {"sub": "u7", "name": "Dr. Sample", "fhirUser": FHIR_USER}
        started.launches = {"of-ann": {"patient": "ann"}, "of-nobody": {}}
        yield started


@asynccontextmanager
async def at(folder: Path, ehr: Provider, **more: Any) -> AsyncIterator[Person]:
    """A person at a server whose trust file registers this EHR."""
    (folder / "keys.json").write_text('{"keys": []}')
    (folder / "trust.toml").write_text(
        f"""
version = 1

[[client]]
name = "ehr"
issuers = ["https://ehr.example"]
jwks_file = "keys.json"
fhir = ["{ehr.address}/fhir"]
smart_client_id = "{ehr.client.client_id}"

[[client]]
name = "no app"
issuers = ["https://other.example"]
jwks_file = "keys.json"
fhir = ["{ehr.address}/other"]
"""
    )
    async with client(folder, trust_file=folder / "trust.toml", public_url=URL, **more) as calls:
        yield Person(calls)


async def launch_from_ehr(person: Person, ehr: Provider, launch: str = "of-ann", base: str = "/fhir") -> httpx.Response:
    query = {"iss": f"{ehr.address}{base}", "launch": launch}
    sent = await person.calls.get("/launch", params=query, headers={"accept": "text/html"})
    if sent.status_code != 303:
        return sent
    return await person.open((await visiting_provider(sent.headers["location"])).raw_path.decode())


async def test_a_clinician_sees_the_answers_about_the_patient_whose_chart_is_open_and_no_others(
    tmp_path: Path, ehr: Provider
) -> None:
    anns, bens = decision_about("ann"), decision_about("ben")
    keep(tmp_path, anns, bens)
    async with at(tmp_path, ehr) as person:
        assert (await person.open(f"/explain/{anns.id}")).status_code == 403
        answer = await launch_from_ehr(person, ehr)
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"] == "../explain"
        listed = await person.open("/explain")
        assert f'href="explain/{anns.id}"' in listed.text
        assert bens.id not in listed.text
        assert "Dr. Sample" in listed.text
        assert (await person.open(f"/explain/{anns.id}")).status_code == 200
        refused = await person.open(f"/explain/{bens.id}")
        assert refused.status_code == 403
        assert "another patient" in refused.text
        for path in ("/worklist", "/decisions", "/ops", "/try", "/metrics"):
            assert (await person.open(path)).status_code in (403, 404), path
    who = "smart ehr Practitioner/7"
    assert entries(tmp_path, "login") == [(who, {"act": "in", "roles": ["clinician-link"]})]
    assert entries(tmp_path, "page-view") == [(who, {"page": "/explain"}), (who, {"page": f"/explain/{anns.id}"})]


async def test_the_context_of_a_cards_link_leads_to_its_decision(tmp_path: Path, ehr: Provider) -> None:
    anns = decision_about("ann")
    keep(tmp_path, anns)
    ehr.launches["of-ann"]["appContext"] = anns.id
    async with at(tmp_path, ehr) as person:
        assert (await launch_from_ehr(person, ehr)).headers["location"] == f"../explain/{anns.id}"
        ehr.launches["of-ann"]["appContext"] = "https://evil.example"
        assert (await launch_from_ehr(person, ehr)).headers["location"] == "../explain"


async def test_where_everybody_logs_in_a_launch_is_a_login_for_one_patient(tmp_path: Path, ehr: Provider) -> None:
    anns = decision_about("ann")
    keep(tmp_path, anns, decision_about("ben"))
    async with at(tmp_path, ehr, login="accounts") as person:
        assert (await launch_from_ehr(person, ehr)).status_code == 303
        assert (await person.open(f"/explain/{anns.id}")).status_code == 200
        for path in ("/", "/worklist", "/decisions", "/ops", "/try", "/models", "/docs/"):
            assert (await person.open(path)).status_code == 403, path


async def test_the_request_asks_for_the_launch_at_this_fhir_server_with_pkce(tmp_path: Path, ehr: Provider) -> None:
    async with at(tmp_path, ehr) as person:
        query = {"iss": f"{ehr.address}/fhir", "launch": "of-ann"}
        sent = await person.calls.get("/launch", params=query, headers=BROWSER)
    asked = dict(parse_qsl(urlsplit(sent.headers["location"]).query))
    assert asked["aud"] == f"{ehr.address}/fhir"
    assert asked["launch"] == "of-ann"
    assert asked["code_challenge_method"] == "S256"
    assert "launch" in asked["scope"].split()


async def test_a_fhir_server_that_is_not_registered_for_launches_is_not_asked(tmp_path: Path, ehr: Provider) -> None:
    async with at(tmp_path, ehr) as person:
        for base in ("/other", "/fhir/deeper", "", "/fhir?x=1"):
            answer = await launch_from_ehr(person, ehr, base=base)
            assert answer.status_code == 403, base
            assert "registered for no client" in answer.text
        for iss in ("https://evil.example/fhir", "http://169.254.169.254/", "file:///etc/passwd", "\u202e"):
            query = {"iss": iss, "launch": "x"}
            answer = await person.calls.get("/launch", params=query, headers=BROWSER)
            assert answer.status_code == 403
        for query in ({}, {"iss": f"{ehr.address}/fhir"}, {"launch": "x"}):
            assert (await person.calls.get("/launch", params=query, headers=BROWSER)).status_code == 403
    assert ehr.asked == []


@pytest.mark.parametrize("member", ["token_endpoint", "jwks_uri"])
async def test_an_address_at_another_origin_is_not_called_unless_the_file_names_it(
    tmp_path: Path, ehr: Provider, member: str
) -> None:
    with providing("") as elsewhere:
        ehr.metadata = {member: f"{elsewhere.address}/token"}
        async with at(tmp_path, ehr) as person:
            answer = await launch_from_ehr(person, ehr)
            assert answer.status_code == 403
            assert "origin that the trust file does not name" in answer.text
        assert elsewhere.asked == []


async def test_a_person_without_a_name_is_called_by_what_the_ehr_calls_them(tmp_path: Path, ehr: Provider) -> None:
    ehr.person = {"sub": "u7"}
    ehr.launches["of-ann"]["patient"] = "p" * 64
    async with at(tmp_path, ehr) as person:
        assert (await launch_from_ehr(person, ehr)).status_code == 303
        assert "u7" in (await person.open("/explain")).text
    assert [who for who, _ in entries(tmp_path, "login")] == ["smart ehr u7"]


async def test_a_launch_without_a_patient_lets_nobody_in(tmp_path: Path, ehr: Provider) -> None:
    async with at(tmp_path, ehr) as person:
        for patient in (None, "", 7, "p" * 65):
            ehr.launches["of-nobody"] = {"patient": patient}
            answer = await launch_from_ehr(person, ehr, "of-nobody")
            assert answer.status_code == 403, patient
            assert "named no patient" in answer.text
            assert "cds-session=" not in str(answer.headers)


async def test_another_chart_ends_the_session_of_the_one_before(tmp_path: Path, ehr: Provider) -> None:
    anns, bens = decision_about("ann"), decision_about("ben")
    keep(tmp_path, anns, bens)
    ehr.launches["of-ben"] = {"patient": "ben"}
    async with at(tmp_path, ehr) as person:
        await launch_from_ehr(person, ehr)
        await launch_from_ehr(person, ehr, "of-ben")
        assert (await person.open(f"/explain/{anns.id}")).status_code == 403
        assert (await person.open(f"/explain/{bens.id}")).status_code == 200


async def test_the_same_patient_id_at_another_client_is_another_patient(tmp_path: Path, ehr: Provider) -> None:
    foreign = msgspec.structs.replace(decision_about("ann"), client="no app")
    keep(tmp_path, foreign)
    async with at(tmp_path, ehr) as person:
        await launch_from_ehr(person, ehr)
        assert (await person.open(f"/explain/{foreign.id}")).status_code == 403
