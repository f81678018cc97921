"""The trust file: read into clients, or refused with a sentence for each mistake and its place."""

import json
from typing import Any, get_args

import pytest

from cds_hooks.call.security.addresses import Budgets, KeySetUrl
from cds_hooks.call.security.trust import RegistrableNames
from cds_hooks.call.security.trust_file import TrustFileError, read_trust_file
from cds_hooks.errors import UntrustedReason
from cds_hooks.tools.kit.simulator.signing import new_key
from tests.cds_hooks.call.security.conftest import DATA
from tests.cds_hooks.call.security.trusting import CLIENT, Site
from tests.conftest import ROOT
from tests.each import each_row

FULL = """\
version = 1
discovery_needs_token = false

[jwks]
refresh_seconds = 300
outage_seconds = 3600

[[client]]
name = "Epic test"
issuers = ["https://ehr.example.org/fhir"]
subjects = ["client-1"]
tenant = "north"
jwks_url = "https://keys.example.org/jwks"
jku = "https://ehr.example.org/jwks"
algorithms = ["RS384"]
audiences = ["https://old.example.org/cds-services/order-safety"]
fhir = ["https://ehr.example.org/fhir/", "http://127.0.0.1:9000/r4"]
fhir_client_id = "us"
networks = ["10.20.0.0/16"]
hooks = ["order-select"]
services = ["order-safety"]
dialect = "epic"
protocol_version = "1.1"
markdown = "plain"
cors_origins = ["https://ehr.example.org"]
link_hosts = ["apps.example.org"]
override_reasons = [{ code = "1", system = "urn:site", display = "Not now" }]

[client.budgets]
max_lifetime_seconds = 300
skew_seconds = 60
fetch_milliseconds = 250
concurrency = 8
max_response_bytes = 2048
max_pages = 3
max_requests = 9
"""


def _problems(site: Site, text: str, known: RegistrableNames | None = None) -> list[str]:
    site.write(text)
    with pytest.raises(TrustFileError) as refused:
        read_trust_file(site.file, known or RegistrableNames())
    return list(refused.value.problems)


def test_everything_that_can_be_said_is_read(site: Site) -> None:
    site.write(FULL)
    file = read_trust_file(site.file, RegistrableNames(services=["order-safety"], hooks=["order-select"]))
    client = file.clients[0]
    assert (file.discovery_needs_token, file.refresh_seconds, file.outage_seconds) == (False, 300, 3600)
    assert isinstance(client.key_source, KeySetUrl)
    assert str(client.key_source.url) == "https://keys.example.org/jwks"
    assert client.key_source.reach.rule.allows("10.20.3.4")
    assert not client.key_source.reach.rule.allows("10.21.3.4")
    assert client.jku == "https://ehr.example.org/jwks"
    assert (client.name, client.tenant, client.fhir_client_id) == ("Epic test", "north", "us")
    assert client.issuers == {"https://ehr.example.org/fhir"}
    sets = (client.subjects, client.algorithms, client.hooks, client.services)
    assert [list(each) for each in sets] == [["client-1"], ["RS384"], ["order-select"], ["order-safety"]]
    assert client.audiences == {"https://old.example.org/cds-services/order-safety"}
    assert [str(base.url) for base in client.fhir] == ["https://ehr.example.org/fhir/", "http://127.0.0.1:9000/r4"]
    assert not client.fhir[1].reach.rule.allows("10.20.3.4"), "loopback leads to loopback"
    profile = client.profile
    assert (profile.dialect.id, profile.version, profile.markdown) == ("epic", "1.1", "plain")
    assert (*profile.link_hosts, profile.override_reasons[0].code) == ("apps.example.org", "1")
    assert client.cors_origins == {"https://ehr.example.org"}
    assert client.budgets == Budgets(300, 60, 250, 8, 2048, 3, 9)


@pytest.mark.parametrize(
    ("of_process", "of_client", "may_call"),
    [
        ("", "", {"order-safety"}),
        ("", '["*"]', {"order-safety"}),
        ('["order-safety", "coverage-requirements"]', '["*"]', {"order-safety"}),
        ("", '["coverage-requirements"]', {"coverage-requirements"}),
        ('["order-safety"]', "", {"order-safety"}),
        ('["coverage-requirements"]', '["*"]', set()),
        ('["coverage-requirements"]', '["coverage-requirements", "order-safety"]', {"coverage-requirements"}),
        ('["order-safety"]', '["coverage-requirements", "order-safety"]', {"order-safety"}),
        ('["order-safety"]', '["coverage-requirements"]', set()),
    ],
)
def test_what_a_process_serves_bounds_what_its_clients_may_call(
    site: Site, of_process: str, of_client: str, may_call: set[str]
) -> None:
    text = CLIENT.replace("version = 1", f"version = 1\nservices = {of_process}" if of_process else "version = 1")
    site.write(text + (f"services = {of_client}\n" if of_client else ""))
    file = read_trust_file(site.file, RegistrableNames(services=["order-safety", "coverage-requirements"]))
    (client,) = file.clients
    assert {name for name in ("order-safety", "coverage-requirements") if client.may_call({name})} == may_call


ROWS: list[dict[str, Any]] = [json.loads(line) for line in (DATA / "trust-files.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_a_mistake_is_said_with_its_place(row: dict[str, Any], site: Site) -> None:
    text = CLIENT.replace(row["replace"], row["with"]) if "replace" in row else CLIENT + row.get("append", "")
    problems = _problems(
        site, row.get("text", text), RegistrableNames(services=["order-safety"], hooks=["patient-view"])
    )
    assert any(row["says"] in problem for problem in problems), problems


def test_the_bytes_of_a_key_are_in_no_sentence(site: Site) -> None:
    secret = "c2VjcmV0LW9mLXRoZS1zaXRl"  # noqa: S105 - invented
    key = f'{{ kty = "oct", kid = "x", k = "{secret}" }}'
    table = f'\n[[client]]\nname = "B"\nissuers = ["https://b"]\nkeys = [{key}]\n'
    assert secret not in " ".join(_problems(site, CLIENT + table))
    assert secret not in " ".join(_problems(site, CLIENT + table.replace(f"[{key}]", f'["{secret}"]')))


def test_a_private_key_in_place_of_the_public_one_is_refused(site: Site) -> None:
    key = new_key("https://ehr.example.org", "ES384")
    (site.folder / "jwks.json").write_text(json.dumps({"keys": [key.jwk]}))
    problems = _problems(site, CLIENT)
    assert any("private" in problem for problem in problems)
    assert key.jwk["d"] not in " ".join(problems)


TRUST = (ROOT / "docs" / "operations" / "trust.md").read_text()


def test_every_reason_is_explained() -> None:
    table = TRUST.partition("## Reasons of a 401")[2]
    assert {reason for reason in get_args(UntrustedReason) if f"`{reason}`" not in table} == set()


@each_row(("line", "fault"))
def test_an_entry_of_a_client_that_cannot_be_used_is_named(site: Site, line: str, fault: str) -> None:
    site.write(f"{CLIENT}{line}\n")
    with pytest.raises(TrustFileError) as refused:
        read_trust_file(site.file)
    assert refused.value.kind == "content"
    assert any(fault in problem for problem in refused.value.problems), refused.value.problems
