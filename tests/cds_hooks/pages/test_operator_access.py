"""Behind a trust file only the operator reads what was counted and why it was decided so."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from cds_hooks.pages.server import OperatorAccess
from cds_hooks.settings import Settings

TOKEN = "a token for operators"  # noqa: S105 - of this test only
HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"
SERVED = (HERE, 8085)


def visitors(**given: Any) -> OperatorAccess:
    return OperatorAccess(Settings(trust_file=Path("trust.toml"), **given))


def request(host: str | None, headers: Mapping[str, str] | None = None, server: Any = SERVED) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "headers": raw, "client": (host, 1) if host else None, "server": server})


@pytest.mark.parametrize("host", [HERE, "::1", "127.9.9.9", ELSEWHERE, "2001:db8::1", "localhost.evil.example", None])
def test_no_machine_sees_either_without_the_token_because_a_proxy_here_adds_no_header(host: str | None) -> None:
    assert not visitors().is_operator(request(host))


def test_the_operators_own_listener_opens_both_and_a_header_cannot_pretend_it() -> None:
    by_port, by_socket = visitors(operator_listen="127.0.0.1:9085"), visitors(operator_listen="unix:/run/operator.sock")
    assert by_port.is_operator(request(HERE, server=(HERE, 9085)))
    assert by_socket.is_operator(request(None, server=("/run/operator.sock", None)))
    for each in (by_port, by_socket):
        assert not each.is_operator(request(HERE, {"Host": "127.0.0.1:9085"}))
        assert not each.is_operator(request(HERE, server=None))


@pytest.mark.parametrize(
    ("host", "seen"),
    [("127.0.0.1:9085", True), ("localhost:9085", True), ("cds.example.org", True), ("evil.example:9085", False)],
)
def test_a_page_of_another_site_does_not_reach_the_operators_listener_on_loopback(host: str, seen: bool) -> None:
    """A name of its own site that was changed to 127.0.0.1 brings the operator's browser there (DNS rebinding)."""
    opened = visitors(operator_listen="127.0.0.1:9085", public_url="https://cds.example.org")
    assert opened.is_operator(request(HERE, {"Host": host}, server=(HERE, 9085))) is seen


@pytest.mark.parametrize("public", ["0.0.0.0:9085", "[::]:9085", f"{ELSEWHERE}:9085"])
def test_an_address_that_other_machines_reach_opens_nothing_without_the_token(public: str) -> None:
    with pytest.raises(ValueError, match="without a token"):
        visitors(operator_listen=public)
    opened = visitors(operator_listen=public, operator_token=TOKEN)
    for server in (("172.17.0.2", 9085), (ELSEWHERE, 9085), (HERE, 9085)):
        assert not opened.is_operator(request(ELSEWHERE, server=server))
        assert opened.is_operator(request(ELSEWHERE, {"Authorization": f"Bearer {TOKEN}"}, server=server))


@pytest.mark.parametrize(
    ("header", "seen"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer {TOKEN}", True),
        (f"Bearer {TOKEN}x", False),
        (f"Basic {TOKEN}", False),
        ("Bearer ", False),
        ("Bearer café", False),
    ],
)
def test_the_operators_token_opens_from_elsewhere(header: str, seen: bool) -> None:
    asked = request(ELSEWHERE, {"Authorization": header})
    assert visitors(operator_token=TOKEN).is_operator(asked) is seen
    assert not visitors().is_operator(asked)


def test_in_the_development_profile_everyone_on_this_machine_sees_all() -> None:
    assert OperatorAccess(Settings(trust_file=None)).is_operator(request(None))
