"""The second factor of a login: codes of an authenticator app, each for one login."""

from pathlib import Path

import pytest

from cds_hooks.access.accounts import check_login, set_second_factor
from cds_hooks.access.second_factor import STEP_SECONDS, code_at, enrolment_address, new_secret, step_of
from tests.cds_hooks.access.browsing import PASSWORD, visit, with_account

RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # noqa: S105 - of RFC 6238, appendix B


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    """RFC 6238, appendix B, SHA-1: the last six of its eight digits."""
    assert code_at(RFC_SECRET, seconds // STEP_SECONDS) == code


def test_a_code_is_good_for_its_step_and_the_ones_beside_it() -> None:
    now = 1_000_000.0
    code = code_at(RFC_SECRET, int(now // STEP_SECONDS))
    assert [step_of(RFC_SECRET, code, now + shift) is not None for shift in (-61, -30, 0, 30, 61)] == [
        False, True, True, True, False,
    ]  # fmt: skip
    for wrong in ("", "000000", "abc", "\u0661\u0662\u0663\u0664\u0665\u0666", code + "0"):
        assert step_of(RFC_SECRET, wrong, now) is None


def test_a_login_with_a_second_factor_needs_its_code_and_takes_each_once(tmp_path: Path) -> None:
    store = with_account(tmp_path, "ann", "operator")
    secret = new_secret()
    set_second_factor(store, "ann", secret)
    now = 1_000_000.0
    code = code_at(secret, int(now // STEP_SECONDS))
    assert check_login(store, "ann", PASSWORD, "", lambda: now) is None
    assert check_login(store, "ann", "wrong", code, lambda: now) is None
    account = check_login(store, "ann", PASSWORD, code, lambda: now)
    assert account is not None
    assert account.has_second_factor
    assert check_login(store, "ann", PASSWORD, code, lambda: now) is None
    set_second_factor(store, "ann", None)
    assert check_login(store, "ann", PASSWORD) is not None
    assert check_login(store, "ann", "wrong") is None


def test_an_authenticator_app_reads_the_address() -> None:
    address = enrolment_address(RFC_SECRET, "ann", "cds.example.org")
    assert address == f"otpauth://totp/cds.example.org%3Aann?secret={RFC_SECRET}&issuer=cds.example.org"


@pytest.mark.anyio
@pytest.mark.parametrize(("role", "status"), [("operator", 403), ("approver", 403), ("viewer", 303)])
async def test_who_operates_or_approves_from_other_machines_needs_a_second_factor(
    tmp_path: Path, role: str, status: int
) -> None:
    with_account(tmp_path, "ann", role)
    async with visit(tmp_path, public_url="https://cds.example.org") as person:
        person.calls.base_url = "https://cds.example.org"  # else no cookie that is for https comes back
        answer = await person.log_in("ann")
    assert answer.status_code == status
    if status == 403:
        assert "cds-hooks accounts change ann --second-factor" in answer.text
