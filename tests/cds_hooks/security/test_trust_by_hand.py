"""Trust at its borders: what may be fetched, which origins there are, what is checked, which addresses are plain."""

import asyncio
from pathlib import Path

import pytest

from cds_hooks.security.addresses import (
    AddressRule,
    Budgets,
    FhirBase,
    OutboundRefused,
    PoolKey,
    Reach,
    is_below,
    parse_url,
)
from cds_hooks.security.client import ANONYMOUS, TrustedClient
from cds_hooks.security.trust import DevelopmentTrust, _base_url, _is_plain
from tests.cds_hooks.security.trusting import CLIENT, Clock, Site, run


@pytest.mark.parametrize(
    ("address", "is_plain"),
    [
        ("http://cds.example.org", True),
        ("https://cds.example.org", False),
        ("http://localhost:8085", False),
        ("http://127.0.0.1:8085", False),
        ("http://[::1]", False),
        ("https://127.0.0.1", False),
        ("ftp://cds.example.org", False),
        ("no address", False),
        ("", False),
    ],
)
def test_an_address_is_plain_where_others_could_read_along(address: str, is_plain: bool) -> None:
    assert _is_plain(address) is is_plain


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("https://fhir.example.org/r4", "https://fhir.example.org/r4"),
        ("https://fhir.example.org/r4/", "https://fhir.example.org/r4"),
        ("https://fhir.example.org", "https://fhir.example.org"),
    ],
)
def test_the_base_of_a_call_has_no_slash_at_its_end(server: str, url: str) -> None:
    made = _base_url(server)
    assert str(made) == url
    assert made.query is None


@pytest.mark.parametrize(
    ("server", "text"),
    [
        ("https://fhir.example.org/r4?x=1", "The call's fhirServer is not called: it has a query."),
        ("https://fhir.example.org/r4?", "The call's fhirServer is not called: it has a query."),
        ("https://fhir.example.org/r4//", "The call's fhirServer is not called: its path has an empty segment."),
        ("fhir", None),
    ],
)
def test_a_base_that_is_no_address_is_refused(server: str, text: str | None) -> None:
    with pytest.raises(OutboundRefused) as refused:
        _base_url(server)
    assert refused.value.reason == "malformed"
    assert refused.value.text.startswith("The call's fhirServer is not called: ")
    assert refused.value.text.endswith(".")
    assert text in (None, refused.value.text)


def test_below_a_base_is_the_base_and_what_follows_it_behind_a_slash() -> None:
    base = parse_url("https://fhir.example.org/r4")
    for address, is_there in (
        ("https://fhir.example.org/r4", True),
        ("https://fhir.example.org/r4/", True),
        ("https://fhir.example.org/r4/Patient", True),
        ("https://fhir.example.org/r4x", False),
        ("https://fhir.example.org/", False),
        ("https://fhir.example.org:8443/r4", False),
        ("http://fhir.example.org/r4", False),
        ("https://other.example.org/r4", False),
    ):
        assert is_below(parse_url(address), base) is is_there, address


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


def test_the_development_profile_reads_this_machine_only() -> None:
    async def ask() -> None:
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

    asyncio.run(ask())


ORIGINS = CLIENT + 'cors_origins = ["https://ehr.example.org", "https://app.example.org"]\n'


def test_the_origins_of_a_file_are_a_collection(tmp_path: Path) -> None:
    async def look() -> None:
        site = Site(tmp_path, Clock())
        (tmp_path / "jwks.json").write_text('{"keys": []}')
        site.write(ORIGINS)
        trust = site.open()
        try:
            assert set(trust.origins) == {"https://ehr.example.org", "https://app.example.org"}
            assert len(trust.origins) == 2
            assert "https://app.example.org" in trust.origins
            assert "https://other.example.org" not in trust.origins
            assert [client.name for client in trust.clients] == ["Example"]
            assert trust.development is False
        finally:
            await trust.aclose()

    run(look())
