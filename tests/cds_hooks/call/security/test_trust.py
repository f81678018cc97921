"""Who calls, whom it may call, whose browser may ask: the trust of a file, and the development profile."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.call.security import open_trust
from cds_hooks.call.security.addresses import OutboundRefused
from cds_hooks.call.security.keys import read_key_set
from cds_hooks.call.security.token import read_token
from cds_hooks.call.security.trust import ANONYMOUS
from cds_hooks.errors import Untrusted
from cds_hooks.tools.kit.simulator.signing import SigningKey
from tests.cds_hooks.call.security.forging import Forger
from tests.cds_hooks.call.security.trusting import CLIENT, PUBLIC_URL, SERVICE, Clock, Site, call, run
from tests.cds_hooks.logged import capture_logs
from tests.each import each_row

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


@each_row(("claims", "client"))
def test_clients_of_one_issuer_are_told_apart_by_subject(
    site: Site, token: Token, claims: dict[str, str], client: str
) -> None:
    site.write(CLIENT + 'subjects = ["north"]\n' + SECOND + 'subjects = ["south"]\n')
    assert _name(site, token(**claims)) == client


@each_row(("path", "aud", "said"))
def test_discovery_service_and_feedback_have_audiences_of_their_own(
    site: Site, token: Token, path: str, aud: str, said: str
) -> None:
    assert _name(site, token(aud=PUBLIC_URL + aud), path) == said


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


@each_row(("url", "is_said"))
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
