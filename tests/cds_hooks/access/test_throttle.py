"""Failed logins: a name and an address wait, and whose address it is behind proxies."""

from pathlib import Path

import pytest

from cds_hooks.access.accounts import (
    TRIES_FOR_A_NAME,
    WINDOW_SECONDS,
    TooManyTries,
    address_of_client,
    count_try,
    forgive,
)
from cds_hooks.settings.checks import networks_of
from tests.cds_hooks.access.browsing import store_of
from tests.cds_hooks.access.test_sessions import Clock, clock

__all__ = ["clock"]


def test_the_window_of_failed_logins_moves_on(clock: Clock, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for _ in range(TRIES_FOR_A_NAME):
        count_try(store, "ann", "a", clock)
    with pytest.raises(TooManyTries):
        count_try(store, "ann", "b", clock)
    clock.now += WINDOW_SECONDS
    count_try(store, "ann", "a", clock)


def test_one_address_cannot_try_many_names(clock: Clock, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for number in range(100):
        count_try(store, f"name {number}", "a", clock)
    with pytest.raises(TooManyTries):
        count_try(store, "another", "a", clock)
    count_try(store, "another", "b", clock)


def test_logins_that_succeed_do_not_count_for_their_address(clock: Clock, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for _ in range(150):
        attempt = count_try(store, "ann", "a", clock)
        with store.transaction() as connection:
            forgive(connection, "ann", attempt)
    assert count_try(store, "ann", "a", clock).wait_seconds == 0


def test_failures_slow_down_before_they_refuse_and_a_proxy_that_is_not_declared_is_never_refused(
    clock: Clock, tmp_path: Path
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
