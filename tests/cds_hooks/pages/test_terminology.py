"""The page /terminology: indexes and how they stand, what is not understood, and a mapping that two people make."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cds_hooks.hold_back.releases import Releases
from cds_hooks.hold_back.terminology import REPLAY, REPORT
from cds_hooks.package_tests.markup import faults
from cds_hooks.pages.terminology.views import unread_entries
from cds_hooks.storage.queries import list_decisions
from fhir.terminology.importing import import_releases
from tests.cds_hooks.access.browsing import Person, form_token, visit, with_account
from tests.cds_hooks.calls import ORDERS, client, request_for
from tests.cds_hooks.hold_back.clicking import Desk
from tests.cds_hooks.pages.test_decisions import trust_file_in
from tests.fhir.builders import medication_order
from tests.live import record_in

HOSTILE = "<script>alert(1)</script>"


async def _call(folder: Path, code: str, words: str = "", times: int = 1) -> None:
    """Calls about a patient on a medication that the site alone has a code for."""
    request = request_for(ORDERS, "order-sign", "ckd4-metformin", datetime.now(UTC), "metformin-ckd4-coded")
    concept = {"coding": [{"system": "urn:ours", "code": code}], "text": words} if code else {"text": words}
    listed: dict[str, Any] = medication_order(concept, patient=request["context"]["patientId"], id="m1")
    request["prefetch"]["medications"]["entry"].append({"resource": listed})
    async with client(folder) as calls:
        for _ in range(times):
            (await calls.post(f"/cds-services/{ORDERS}", json=request)).raise_for_status()


async def test_what_is_not_understood_is_ranked_by_the_decisions_that_met_it(tmp_path: Path) -> None:
    await _call(tmp_path, "77", "Snorglol forte", 2)
    await _call(tmp_path, "", "Florbinol")
    await _call(tmp_path, "", "x" * 200)
    url = record_in(tmp_path)
    unread = [entry for entry in unread_entries(url, list_decisions(url, 100)) if entry.kind == "MedicationRequest"]
    told = [(entry.name, entry.words, entry.decisions, entry.used_as, entry.services) for entry in unread]
    assert told == [
        ("urn:ours 77", "Snorglol forte", 2, "drug", (ORDERS,)),
        ("name florbinol", "Florbinol", 1, "drug", (ORDERS,)),
    ]


async def test_a_drafted_order_that_is_not_understood_is_listed(tmp_path: Path) -> None:
    request = request_for(ORDERS, "order-sign", "ckd4-metformin", datetime.now(UTC), "metformin-ckd4-coded")
    for entry in request["context"]["draftOrders"]["entry"]:
        entry["resource"]["medicationCodeableConcept"] = {"coding": [{"system": "urn:ours", "code": "4711"}]}
    async with client(tmp_path) as calls:
        (await calls.post(f"/cds-services/{ORDERS}", json=request)).raise_for_status()
    url = record_in(tmp_path)
    assert "urn:ours 4711" in [entry.name for entry in unread_entries(url, list_decisions(url, 9))]


async def test_one_person_proposes_a_mapping_at_the_page_and_another_approves_it(tmp_path: Path) -> None:
    await _call(tmp_path, "77", HOSTILE)
    folder = tmp_path / "terms"
    folder.mkdir()
    (tmp_path / "ours.csv").write_text("system,code,group\nurn:ours,1,hf\n")
    index = import_releases([tmp_path / "ours.csv"], folder, lambda *_: None).index
    assert index is not None
    Desk(record_in(tmp_path)).account("vera", "add", roles=["approver"])
    for name, role in (("ann", "pharmacist"), ("vera", "approver"), ("vic", "viewer")):
        with_account(tmp_path, name, role)
    mapping = {
        "kind": "mapping",
        "name": "urn:ours 77",
        "state": "active",
        "version": "drug metformin ",
        "why": "list 7",
    }
    index_act = {"kind": "terminology", "name": index.stem, "state": "active", "why": "read"}
    async with visit(tmp_path, trust_file=trust_file_in(tmp_path), terminology=folder) as person:
        await person.log_in("vic")
        assert (await person.open("/terminology")).status_code == 403
        await person.log_in("ann")
        page = (await person.open("/terminology")).text
        assert faults(page) == []
        assert 'value="urn:ours 77"' in page
        assert (HOSTILE in page, index.stem in page, "Put it in force" in page) == (False, True, True)
        assert ("Not tried yet" in page, "no report" in page) == (True, True)
        index.with_suffix(REPORT).write_text("kind,key,code,how,definition\ngroup,hf,1,new,\ngroup,hf,2,new,\n")
        replay = {"decisions": 7, "not_replayed": 1, "by_card": {"renal-metformin/stop": {"more": 2}}, "cards": {}}
        index.with_suffix(REPLAY).write_text(json.dumps(replay))
        page = (await person.open("/terminology")).text
        assert "7 decisions tried, 1 not replayed; renal-metformin/stop: 2 more, 0 fewer" in page
        assert ("2 new" in page, faults(page)) == (True, [])
        for name in ("ann", "vera"):
            await person.log_in(name)
            assert _in_force(tmp_path) == ({}, [])
            assert "there is no drug" in await _send(person, **mapping | {"version": "drug nothing"})
            for act in (mapping, index_act):
                assert "Recorded" in await _send(person, **act)
        assert _in_force(tmp_path) == ({"urn:ours 77": "drug metformin"}, [index.stem])
        person_page = (await person.open("/terminology")).text
    assert faults(person_page) == []


async def _send(person: Person, **fields: str) -> str:
    data = {"form_token": form_token(await person.open("/rules")), **fields}
    files = {"nothing": ("", "", "text/plain")}
    return (await person.calls.post("/rules", data=data, files=files, headers=person.headers)).text


def _in_force(folder: Path) -> tuple[dict[str, str], list[str]]:
    releases = Releases(by_two_people=True)
    releases.read(record_in(folder))
    return releases.current.mappings, releases.current.terminologies
