"""DISC: discovery."""

import re
from pathlib import Path

import pytest

from tests.cds_hooks.calls import PLANNING, request_for
from tests.conformance.answers import AS_OF, Answers
from tests.conformance.conftest import Opened
from tests.conformance.outside import SERVICES, Json, Outside, strict
from tests.conformance.rows import row
from tests.conformance.trusted import Site
from tests.each import each_row

# The published pages of HL7/cds-hooks-library (checklist section 5).
HOOK_VERSIONS = {
    "patient-view": "1.0", "order-select": "1.0", "order-sign": "1.0", "order-dispatch": "1.1",
    "encounter-discharge": "1.0", "encounter-start": "1.0", "appointment-book": "1.0",
}  # fmt: skip


@row("DISC-01", "DISC-14")
def test_discovery_is_read_at_its_address(server: Outside) -> None:
    assert server.request("GET", SERVICES).status_code == 200
    for method in ("HEAD", "OPTIONS", "POST", "PUT", "DELETE"):
        assert server.request(method, SERVICES).status_code < 500


@row("DISC-02")
def test_discovery_is_an_object_with_services(server: Outside) -> None:
    document = strict(server.request("GET", SERVICES).content)
    assert isinstance(document, dict)
    assert isinstance(document["services"], list)


@row("DISC-04", "DISC-05", "DISC-06")
@pytest.mark.parametrize("member", ["hook", "title", "description"])
def test_every_entry_has_its_words(discovery: list[Json], member: str) -> None:
    assert discovery
    for entry in discovery:
        assert isinstance(entry[member], str)
        assert entry[member].strip()


@row("DISC-07")
def test_every_id_leads_to_its_service(server: Outside, discovery: list[Json]) -> None:
    for entry in discovery:
        assert re.fullmatch(r"[A-Za-z0-9._~-]+", entry["id"])
        assert server.call(entry["id"], {}).status_code == 400


@row("DISC-08")
def test_prefetch_is_keys_and_templates(discovery: list[Json]) -> None:
    for entry in discovery:
        if "prefetch" in entry:
            assert entry["prefetch"]
            assert all(isinstance(key, str) and isinstance(query, str) for key, query in entry["prefetch"].items())


@row("DISC-09")
def test_usage_requirements_are_words_or_absent(discovery: list[Json]) -> None:
    for entry in discovery:
        assert entry.get("usageRequirements", "absent").strip()


@row("DISC-10", "DISC-11", "REQ-16")
@each_row(("version", "said", "with_hook_version"))
def test_versions_are_said_to_clients_that_know_them(
    opened: Opened, version: str | None, said: str | None, with_hook_version: bool
) -> None:
    for entry in opened(protocol_version=version).discovery():
        assert entry.get("version") == said
        assert entry.get("hookVersion") == (HOOK_VERSIONS[entry["hook"]] if with_hook_version else None)


@row("DISC-12")
def test_no_id_is_listed_twice_for_one_hook_and_no_hook_in_two_versions(opened: Opened) -> None:
    entries = opened(protocol_version="3.0").discovery()
    assert len({(entry["id"], entry["hook"]) for entry in entries}) == len(entries)
    assert len({(entry["hook"], entry["hookVersion"]) for entry in entries}) == len(
        {entry["hook"] for entry in entries}
    )


@row("DISC-13")
def test_one_id_with_several_hooks_is_routed_by_the_hook_of_the_body(server: Outside, answers: Answers) -> None:
    hooks: dict[str, set[str]] = {}
    for each in answers.all:
        hooks.setdefault(each.entry["id"], set()).add(each.request["hook"])
    for service, answered in hooks.items():
        listed = {entry["hook"] for entry in server.discovery() if entry["id"] == service}
        assert answered == listed


@row("DISC-15")
def test_an_extension_of_an_entry_is_an_object(discovery: list[Json]) -> None:
    assert all(isinstance(entry.get("extension", {}), dict) for entry in discovery)


@row("DISC-16", "SEC-14")
def test_discovery_needs_a_token_for_discovery_where_there_is_a_trust_file(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        assert site.server.request("GET", SERVICES).status_code == 401
        for path, status in ((f"{SERVICES}/{PLANNING}", 401), (SERVICES, 200)):
            assert site.server.request("GET", SERVICES, headers=site.signed(path)).status_code == status


@row("DISC-17")
def test_what_is_listed_is_what_is_served(server: Outside, discovery: list[Json]) -> None:
    for entry in discovery:
        assert "url" not in entry
    request = request_for(PLANNING, "patient-view", "infant", AS_OF)
    assert server.call(PLANNING, request).status_code == 200
    assert server.call("somebody-elses", request).status_code == 404
