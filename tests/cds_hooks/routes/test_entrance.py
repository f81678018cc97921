"""The development profile answers to this machine's names and to addresses, not to a name that a page was given."""

from pathlib import Path

import pytest

from tests.cds_hooks.calls import client


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8085", 200),
        ("127.0.0.1", 200),
        ("[::1]:8085", 200),
        ("app.localhost", 200),
        ("192.168.1.7:8085", 200),
        ("cds.example.org", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8085", 421),
        ("localhost.evil.example", 421),
        ("evil.example@127.0.0.1:x", 421),
        ("", 421),
    ],
)
@pytest.mark.parametrize("path", ["/", "/cds-services", "/livez"])
async def test_a_name_of_another_site_is_not_answered_to(tmp_path: Path, host: str, status: int, path: str) -> None:
    async with client(tmp_path, public_url="https://cds.example.org") as calls:
        answered = await calls.get(path, headers={"host": host})
    assert answered.status_code == status
