"""Sessions end: after a while without a page, in any case after some hours, and with their account."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from cds_hooks.access.accounts import (
    AccountRefused,
    add_account,
    change_password,
    change_roles,
    disable_account,
    list_accounts,
)
from cds_hooks.access.passwords import password_fault
from cds_hooks.access.pending import LIFETIME_SECONDS, UnderWay, come_back, send_away
from cds_hooks.access.roles import Role
from cds_hooks.access.sessions import Lifetimes, Person, Sessions, cookies_of
from cds_hooks.access.store import AccessStore, pending, sessions
from cds_hooks.access.throttle import (
    TRIES_FOR_A_NAME,
    WINDOW_SECONDS,
    TooManyTries,
    address_of_client,
    count_try,
    forgive,
)
from cds_hooks.settings.checks import networks_of
from cds_hooks.storage.decision import RecordUnavailable
from tests.cds_hooks.access.browsing import store_of, with_account

ANN = Person("account ann", "Ann", frozenset({"viewer"}), "ann")


class _Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: _Clock) -> Sessions:
    with_account(tmp_path, "ann", "viewer")
    return Sessions(store_of(tmp_path), Lifetimes(idle=900, longest=3600), secure=True, now=clock)


def test_a_session_that_is_used_goes_on_until_its_longest_time(opened: Sessions, clock: _Clock) -> None:
    token = opened.begin(ANN)
    for _ in range(5):
        clock.now += 700
        assert opened.visitor(token) is not None
    clock.now += 700
    assert opened.visitor(token) is None


def test_a_session_without_a_page_ends_and_its_row_is_gone(opened: Sessions, clock: _Clock, tmp_path: Path) -> None:
    token = opened.begin(ANN)
    clock.now += 900
    assert opened.visitor(token) is None
    with store_of(tmp_path).transaction() as connection:
        assert connection.execute(select(sessions)).first() is None


def test_the_rows_of_sessions_that_nobody_ended_are_swept_at_the_next_login(
    opened: Sessions, clock: _Clock, tmp_path: Path
) -> None:
    for _ in range(3):
        opened.begin(ANN)
    clock.now += 1000
    opened.begin(ANN)
    with store_of(tmp_path).transaction() as connection:
        assert len(connection.execute(select(sessions)).all()) == 1


def test_the_roles_are_those_that_the_account_has_now(opened: Sessions, tmp_path: Path) -> None:
    token = opened.begin(ANN)
    change_roles(store_of(tmp_path), "ann", frozenset({Role.AUDITOR}))
    visitor = opened.visitor(token)
    assert visitor is not None
    assert visitor.roles == {"auditor"}


def test_a_session_of_an_account_that_is_gone_is_nobodys(opened: Sessions) -> None:
    token = opened.begin(Person("account bob", "Bob", frozenset({"operator"}), "bob"))
    assert opened.visitor(token) is None


def test_a_session_that_is_ended_is_gone_and_no_other(opened: Sessions) -> None:
    ended, other = opened.begin(ANN), opened.begin(ANN)
    opened.end(ended)
    assert opened.visitor(ended) is None
    assert opened.visitor(other) is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda store: change_password(store, "ann", "five other plain words"),
        lambda store: disable_account(store, "Ann"),
    ],
)
def test_what_changes_how_an_account_gets_in_ends_its_sessions_and_those_of_nobody_else(
    opened: Sessions, tmp_path: Path, change: Callable[[AccessStore], None]
) -> None:
    with_account(tmp_path, "bob", "viewer")
    opened.begin(ANN)
    of_bob = opened.begin(Person("account bob", "Bob", frozenset({"viewer"}), "bob"))
    change(store_of(tmp_path))
    with store_of(tmp_path).transaction() as connection:
        assert connection.execute(select(sessions.c.account)).scalars().all() == ["bob"]
    assert opened.visitor(of_bob) is not None


def test_a_name_has_64_characters_and_a_full_name_is_cut_at_120(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    add_account(store, "a" * 64, "F" * 121, frozenset({Role.VIEWER}), "four plain words together")
    assert [len(account.full_name) for account in list_accounts(store)] == [120]
    with pytest.raises(AccountRefused, match="1 to 64 letters"):
        add_account(store, "a" * 65, "", frozenset({Role.VIEWER}), "four plain words together")


def test_the_window_of_failed_logins_moves_on(opened: Sessions, clock: _Clock, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for _ in range(TRIES_FOR_A_NAME):
        count_try(store, "ann", "a", clock)
    with pytest.raises(TooManyTries):
        count_try(store, "ann", "b", clock)
    clock.now += WINDOW_SECONDS
    count_try(store, "ann", "a", clock)


def test_one_address_cannot_try_many_names(clock: _Clock, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for number in range(100):
        count_try(store, f"name {number}", "a", clock)
    with pytest.raises(TooManyTries):
        count_try(store, "another", "a", clock)
    count_try(store, "another", "b", clock)


def test_logins_that_succeed_do_not_count_for_their_address(clock: _Clock, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for _ in range(150):
        attempt = count_try(store, "ann", "a", clock)
        with store.transaction() as connection:
            forgive(connection, "ann", attempt)
    assert count_try(store, "ann", "a", clock).wait_seconds == 0


def test_failures_slow_down_before_they_refuse_and_a_proxy_that_is_not_declared_is_never_refused(
    clock: _Clock, tmp_path: Path
) -> None:
    store = store_of(tmp_path)
    waits = [count_try(store, "ann", "a", clock).wait_seconds for _ in range(TRIES_FOR_A_NAME)]
    assert waits == pytest.approx([0, 0, 0, 0.1, 0.2])
    waits = [count_try(store, f"name {number}", "127.0.0.1", clock).wait_seconds for number in range(130)]
    assert waits[20] == 0
    assert waits[-1] == 4


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "proxies", "address"),
    [
        ("10.0.0.9", "203.0.113.7", "", "10.0.0.9"),
        ("10.0.0.9", "203.0.113.7", "10.0.0.0/24", "203.0.113.7"),
        ("10.0.0.9", "1.2.3.4, 203.0.113.7, 10.0.0.8", "10.0.0.0/24", "203.0.113.7"),
        ("198.51.100.1", "203.0.113.7", "10.0.0.0/24", "198.51.100.1"),
        ("", "203.0.113.7", "127.0.0.1/32", "203.0.113.7"),
        ("", "203.0.113.7", "", ""),
        ("10.0.0.9", "", "10.0.0.0/24", "10.0.0.9"),
        ("::ffff:10.0.0.9", "203.0.113.7", "10.0.0.0/24", "203.0.113.7"),
        ("10.0.0.9", "<script>", "10.0.0.0/24", "<script>"),
    ],
)
def test_the_address_of_a_login_is_the_nearest_hop_that_is_no_declared_proxy(
    peer: str, forwarded_for: str, proxies: str, address: str
) -> None:
    assert address_of_client(peer, forwarded_for, networks_of(proxies)) == address


@pytest.mark.parametrize(
    ("password", "is_refused"),
    [
        ("passwordpassword", True),
        ("Password-Password-1", True),
        ("iloveyou12345678", True),
        ("qwertyuiop123456789", True),
        ("1q2w3e4r5t6y7u8i9o0p", True),
        ("fourteen chars", True),
        ("fifteen letters", False),
        ("abcdabcdabcdabcd", True),
        ("abcdeabcdeabcdea", False),
        ("the words of Ann", False),  # three letters of a name stand in too many words
        ("a" * 99 + "bcde" * 25 + "f", False),
        ("a" * 100 + "bcde" * 25 + "f", True),
        ("four plain words together", False),
        ("correct horse battery staple", False),
        ("nG8s#kd02-qPz!x7r", False),
    ],
)
def test_passwords_that_are_used_most_often_are_refused(password: str, is_refused: bool) -> None:
    assert (password_fault(password, "ann") is not None) is is_refused


def test_the_name_of_an_account_is_no_part_of_its_password() -> None:
    assert password_fault("the words of Anna", "anna") is not None
    assert password_fault("the words of Anna", "anne") is None


def test_a_login_under_way_comes_back_once_in_time_and_in_the_same_browser(clock: _Clock, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    what = UnderWay("oidc", "", "verifier", "nonce", "/x")

    def sent() -> str:
        return send_away(store, what, "this browser", clock)

    state = sent()
    assert come_back(store, "oidc", state, "this browser", clock) == what
    assert come_back(store, "oidc", state, "this browser", clock) is None
    assert come_back(store, "oidc", sent(), "another browser", clock) is None
    assert come_back(store, "smart", sent(), "this browser", clock) is None
    assert come_back(store, "oidc", "guessed", "this browser", clock) is None
    state = sent()
    sent()
    clock.now += LIFETIME_SECONDS
    assert come_back(store, "oidc", state, "this browser", clock) is None
    sent()
    with store.transaction() as connection:
        assert len(connection.execute(select(pending)).all()) == 1, "what nobody came back for is swept at its end"


@pytest.mark.parametrize("field", ["", ";", "a", "\x01=\x02", "a=b; cds-session", "=" * 5000, '"'])
def test_a_cookie_field_that_makes_no_sense_is_no_cookie(field: str) -> None:
    assert "cds-session" not in cookies_of({"cookie": field})


def test_a_store_that_cannot_be_opened_says_so_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "access.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(RecordUnavailable, match="accounts and sessions"), store_of(tmp_path).transaction():
        pass
