"""Who calls, whom it may call, whose browser may ask: the trust of a file, and the development profile."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from cds_hooks.errors import NotAllowed, Untrusted
from cds_hooks.kit.simulator.signing import SigningKey
from cds_hooks.security import open_trust
from cds_hooks.security.addresses import (
    AddressRule,
    Budgets,
    FhirBase,
    OutboundRefused,
    PoolKey,
    Reach,
    parse_url,
)
from cds_hooks.security.keys import read_key_set
from cds_hooks.security.token import read_token
from cds_hooks.security.trust import ANONYMOUS, DevelopmentTrust, TrustedClient, base_url
from tests.cds_hooks.logged import capture_logs
from tests.cds_hooks.security.forging import Forger
from tests.cds_hooks.security.trusting import CLIENT, PUBLIC_URL, SERVICE, Clock, Site, call, run
from tests.each import for_rows, rows_of

Token = Callable[..., str]


@pytest.fixture
def token(signing_keys: dict[str, SigningKey], attacker: SigningKey, clock: Clock) -> Token:
    """A good token with these claims changed."""

    def make(**claims: Any) -> str:
        return Forger(signing_keys, attacker, clock.now).token({"claims": claims})

    return make


def _name(site: Site, token: str, path: str = SERVICE) -> str:
    async def ask() -> str:
        trust = site.open()
        try:
            return (await call(trust, token, path=path)).name
        except Untrusted as refused:
            return refused.reason
        finally:
            await trust.aclose()

    return run(ask())


SECOND = CLIENT.replace("version = 1\n", "").replace("Example", "Second")


@pytest.mark.parametrize(
    ("claims", "client"),
    rows_of(__file__, "clients_of_one_issuer_are_told_apart_by_subject"),
)
def test_clients_of_one_issuer_are_told_apart_by_subject(
    site: Site, token: Token, claims: dict[str, str], client: str
) -> None:
    site.write(CLIENT + 'subjects = ["north"]\n' + SECOND + 'subjects = ["south"]\n')
    assert _name(site, token(**claims)) == client


@pytest.mark.parametrize(
    ("claims", "client"),
    [({}, "issuer"), ({"tenant": "north"}, "Example"), ({"tenant": "south"}, "Second"), ({"tenant": "x"}, "issuer")],
)
def test_clients_of_one_issuer_are_told_apart_by_tenant(
    site: Site, token: Token, claims: dict[str, str], client: str
) -> None:
    site.write(CLIENT + 'tenant = "north"\n' + SECOND + 'tenant = "south"\n')
    assert _name(site, token(**claims)) == client


@pytest.mark.parametrize(
    "aud",
    rows_of(__file__, "the_audience_is_the_called_url_or_a_registered_one"),
    ids=str,
)
def test_the_audience_is_the_called_url_or_a_registered_one(site: Site, token: Token, aud: str | list[str]) -> None:
    site.write(CLIENT + 'audiences = ["https://old.example.org/cds-services/order-safety"]\n')
    assert _name(site, token(aud=aud)) == "Example"


@pytest.mark.parametrize(
    ("path", "aud", "said"),
    rows_of(__file__, "discovery_service_and_feedback_have_audiences_of_their_own"),
)
def test_discovery_service_and_feedback_have_audiences_of_their_own(
    site: Site, token: Token, path: str, aud: str, said: str
) -> None:
    assert _name(site, token(aud=PUBLIC_URL + aud), path) == said


@pytest.mark.parametrize(
    ("claims", "said"),
    rows_of(__file__, "times_have_a_small_skew_and_other_claims_are_tolerated"),
    ids=str,
)
def test_times_have_a_small_skew_and_other_claims_are_tolerated(
    site: Site, token: Token, claims: dict[str, Any], said: str
) -> None:
    assert _name(site, token(**claims)) == said


def test_a_jku_that_is_the_registered_one_is_no_hindrance(
    site: Site, signing_keys: dict[str, SigningKey], attacker: SigningKey, clock: Clock
) -> None:
    forger = Forger(signing_keys, attacker, clock.now)
    row = {"header": {"jku": "https://ehr.example.org/jwks"}}
    assert _name(site, forger.token(row)) == "Example"
    site.write(CLIENT.replace('jku = "https://ehr.example.org/jwks"\n', ""))
    assert _name(site, forger.token(row)) == "jku", "none registered: none is right"


def test_discovery_needs_a_token_unless_the_file_says_otherwise(site: Site) -> None:
    async def discover() -> str:
        trust = site.open()
        try:
            return (await trust.client_of([], "/cds-services")).name
        except Untrusted as refused:
            return refused.reason
        finally:
            await trust.aclose()

    assert run(discover()) == "no-token"
    site.write(CLIENT.replace("version = 1", "version = 1\ndiscovery_needs_token = false"))
    assert run(discover()) == "anonymous"


def test_a_token_that_is_refused_is_not_used_up(site: Site, token: Token) -> None:
    one = token()
    head, body, signature = one.split(".")
    assert _name(site, f"{head}.{body}.{'A' * len(signature)}") == "signature"
    assert _name(site, one) == "Example"


def test_a_client_is_registered_for_services_and_hooks() -> None:
    client = TrustedClient("A", services=frozenset({"order-safety"}), hooks=frozenset({"order-sign"}))
    client.require({"order-safety"})
    client.require({"order-safety"}, "order-sign")
    for service, hook in (("planning", None), ("order-safety", "order-select"), ("planning", "order-sign")):
        with pytest.raises(NotAllowed) as refused:
            client.require({service}, hook)
        assert refused.value.status == 403
    assert ANONYMOUS.may_call({"anything"}, "any-hook")


def test_without_a_file_everyone_on_this_machine_is_anonymous(tmp_path: Path) -> None:
    trust = open_trust(None, "http://127.0.0.1:8085", f"sqlite:///{tmp_path}/record.sqlite3")
    assert (trust.development, list(trust.origins)) == (True, ["*"])
    assert run(trust.client_of([(b"authorization", b"Bearer nonsense")], SERVICE)) is ANONYMOUS
    for server in ("http://127.0.0.1:9000/r4", "http://localhost/fhir", "https://[::1]:1/x", "http://127.9.9.9"):
        assert not trust.may_fetch(ANONYMOUS, server).reach.rule.allows("8.8.8.8")
    for server in (
        "https://fhir.example.org/r4",
        "http://10.0.0.1/r4",
        "http://127.0.0.1.nip.io/",
        "http://127.1/",
        "",
    ):
        with pytest.raises(OutboundRefused):
            trust.may_fetch(ANONYMOUS, server)
    run(trust.aclose())
    assert list(tmp_path.iterdir()) == [], "no store of tokens where none is asked for"


@pytest.mark.parametrize(
    ("url", "is_said"),
    rows_of(__file__, "a_public_address_without_tls_is_said"),
)
def test_a_public_address_without_tls_is_said(site: Site, tmp_path: Path, url: str, is_said: bool) -> None:
    with capture_logs() as lines:
        trust = open_trust(site.file, url, f"sqlite:///{tmp_path}/record.sqlite3")
    assert [line["reason"] for line in lines] == ["public-url"] * is_said
    run(trust.aclose())


@pytest.mark.outside_data
@pytest.mark.parametrize("name", ["jwt-compact.json", "jwt-compact-1.0.json"])
def test_the_specifications_sample_token_verifies_with_its_sample_key(spec_folder: Path, name: str) -> None:
    examples = spec_folder / "examples"
    keys, left_out = read_key_set(json.loads((examples / "jwt-jwks.json").read_text()))
    token = read_token(json.loads((examples / name).read_text())["jwt"].encode())
    assert left_out == []
    assert keys.by_kid[token.header.kid].verifies("ES384", token.signed, token.signature)
    assert token.claims.aud == ("https://cds.example.org/cds-services/some-service",)


def test_a_file_that_is_taken_away_is_logged_though_nobody_calls(site: Site) -> None:
    async def wait() -> list[Any]:
        trust = site.open()
        with capture_logs() as lines:
            looking = asyncio.create_task(trust.keep_looking())
            site.file.unlink()
            end = monotonic() + 20
            while not lines and monotonic() < end:
                await asyncio.sleep(0.05)
            looking.cancel()
        await trust.aclose()
        return lines

    assert [line["event"] for line in run(wait())] == ["trust file refused, the last good one stays"]


# Trust at its borders: what may be fetched, which origins there are, what is checked, which addresses are plain.


@for_rows(
    ("server", "text"),
    rows_of(__file__, "a_base_that_is_no_address_is_refused"),
)
def test_a_base_that_is_no_address_is_refused(server: str, text: str | None) -> None:
    with pytest.raises(OutboundRefused) as refused:
        base_url(server)
    assert refused.value.reason == "malformed"
    assert refused.value.text.startswith("The call's fhirServer is not called: ")
    assert refused.value.text.endswith(".")
    assert text in (None, refused.value.text)


def test_an_address_is_checked_against_the_base() -> None:
    url = parse_url("https://fhir.example.org/r4")
    base = FhirBase(url, url, Reach(), client="ehr")
    assert str(base.check("https://fhir.example.org/r4/Patient?_id=1")) == "https://fhir.example.org/r4/Patient?_id=1"
    assert base.pool_key == PoolKey("ehr", "fhir", "https://fhir.example.org/r4", Reach())
    for address, reason, text in (
        ("https://other.example.org/r4", "not-registered",
         "The address is not below a FHIR server registered for this client."),
        ("x", "malformed", None),
    ):  # fmt: skip
        with pytest.raises(OutboundRefused) as refused:
            base.check(address)
        assert refused.value.reason == reason
        assert text in (None, refused.value.text)
        assert refused.value.text.startswith("The address is not ")


async def test_the_development_profile_reads_this_machine_only() -> None:
    client = TrustedClient("me", budgets=Budgets(max_pages=3))
    trust = DevelopmentTrust(client)
    try:
        assert (trust.development, tuple(trust.origins), trust.clients) == (True, ("*",), (client,))
        assert await trust.client_of([], "/x") is client
        await trust.check()
        await trust.keep_looking()
        base = trust.may_fetch(client, "http://localhost:9/fhir/")
        assert str(base.url) == str(base.registered) == "http://localhost:9/fhir"
        assert (base.open, base.budgets, base.client, base.purpose) == (True, client.budgets, "me", "fhir")
        assert base.reach.rule != AddressRule()
        with pytest.raises(OutboundRefused) as refused:
            trust.may_fetch(client, "https://fhir.example.org")
        assert refused.value.reason == "not-registered"
        assert refused.value.text == "Without a trust file only FHIR servers on loopback are read."
    finally:
        await trust.aclose()
    assert DevelopmentTrust().clients == (ANONYMOUS,)
