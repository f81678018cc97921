"""No forged token gets in: 200 attacks, each refused for its own reason inside and with the same answer outside."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cds_hooks.errors import Untrusted, operation_outcome
from cds_hooks.kit.simulator.signing import SigningKey
from cds_hooks.security.trust import FileTrust
from tests.cds_hooks.security.conftest import DATA, make_site
from tests.cds_hooks.security.forging import Forger, decoded
from tests.cds_hooks.security.trusting import SERVICE, Clock, run

ROWS: list[dict[str, Any]] = [json.loads(line) for line in (DATA / "jwt.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, signing_keys: dict[str, SigningKey]) -> Iterator[FileTrust]:
    """The server that is attacked."""
    opened = make_site(tmp_path_factory.mktemp("jwt"), signing_keys, Clock()).open()
    yield opened
    run(opened.aclose())


@pytest.fixture
def forger(signing_keys: dict[str, SigningKey], attacker: SigningKey) -> Forger:
    """Makes the tokens, at the server's time."""
    return Forger(signing_keys, attacker, Clock().now)


def _call(trust: FileTrust, authorizations: list[bytes]) -> str:
    headers = [(b"host", b"cds.example.org"), *((b"authorization", each) for each in authorizations)]
    return run(trust.client_of(headers, SERVICE)).name


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    assert len({row["name"] for row in ROWS}) >= 200


@pytest.mark.parametrize("algorithm", ["ES384", "RS384", "ES256", "RS256", "EdDSA"])
def test_a_good_token_of_every_kind_gets_in(trust: FileTrust, forger: Forger, algorithm: str) -> None:
    row = {"header": {"alg": algorithm, "kid": f"key-{algorithm}"}, "sign": algorithm}
    if algorithm == "RS256":
        signed_by_its_own = forger.keys["RS256"]
        forger.keys = {**forger.keys, "RS384": signed_by_its_own}
    assert _call(trust, forger.authorizations({}, forger.token(row))) == "Example"


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_a_forged_token_is_refused(trust: FileTrust, forger: Forger, row: dict[str, Any]) -> None:
    token = forger.token(row)
    if "first" in row:
        assert _call(trust, forger.authorizations({}, forger.token({"claims": row["first"]}))) == "Example"
    if row.get("first_token"):
        claims = json.loads(decoded(token.split(".")[1]))
        unmangled = forger.token({"claims": claims})
        assert _call(trust, forger.authorizations({}, unmangled)) == "Example"
    for _ in range(row.get("times", 1) - 1):
        assert _call(trust, forger.authorizations(row, token)) == "Example"
    with pytest.raises(Untrusted) as refused:
        _call(trust, forger.authorizations(row, token))
    assert refused.value.reason == row["reason"]
    assert (refused.value.status, operation_outcome(refused.value)) == (401, operation_outcome(Untrusted("no-token")))
    assert token not in repr(refused.value)
