"""Accounts and sessions in both databases, also with the rights of the role that inserts decisions alone."""

import pytest

from cds_hooks.people.access.accounts import (
    TRIES_FOR_A_NAME,
    TooManyTries,
    add_account,
    check_login,
    count_try,
    disable_account,
)
from cds_hooks.people.access.code_flow import UnderWay, come_back, send_away
from cds_hooks.people.access.roles import Role
from cds_hooks.people.access.sessions import Lifetimes, Person, Sessions
from cds_hooks.people.access.store import AccessStore
from tests.cds_hooks.people.access.browsing import PASSWORD

# Accounts and sessions in SQLite and PostgreSQL, there also with the rights of the role that inserts decisions.
ANN = Person("account ann", "Ann", frozenset({"viewer"}), "ann")
LIFETIMES = Lifetimes(900, 3600)


def test_accounts_sessions_and_logins_under_way_are_kept_in_both_databases(url: str) -> None:
    store = AccessStore(url)
    add_account(store, "ann", "Ann", frozenset({Role.VIEWER}), PASSWORD)
    assert check_login(AccessStore(url), "ann", PASSWORD) is not None
    token = Sessions(store, LIFETIMES, secure=False).begin(ANN)
    other = Sessions(AccessStore(url), LIFETIMES, secure=False)  # another worker
    visitor = other.visitor(token)
    assert visitor is not None
    assert visitor.actor == "account ann"
    what = UnderWay("oidc", "", "v", "n")
    assert come_back(AccessStore(url), "oidc", send_away(store, what, "browser"), "browser") == what
    for _ in range(TRIES_FOR_A_NAME):
        count_try(store, "ann", "a")
    with pytest.raises(TooManyTries):
        count_try(AccessStore(url), "ann", "b")
    disable_account(store, "ann")
    assert other.visitor(token) is None
