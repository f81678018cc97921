"""Accounts and sessions in both databases, also with the rights of the role that inserts decisions alone."""

import psycopg
import pytest
from sqlalchemy import make_url

from cds_hooks.access.accounts import (
    TRIES_FOR_A_NAME,
    AccountRefused,
    TooManyTries,
    add_account,
    check_login,
    count_try,
    disable_account,
)
from cds_hooks.access.code_flow import UnderWay, come_back, send_away
from cds_hooks.access.roles import Role
from cds_hooks.access.sessions import Lifetimes, Person, Sessions
from cds_hooks.access.store import AccessStore
from cds_hooks.storage.database import (
    parse_url,
)
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.opening import upgrade_schema
from tests.cds_hooks.access.browsing import PASSWORD
from tests.conftest import ROOT


@pytest.fixture
def postgres_url(bare_postgres_url: str) -> str:
    """Here without a record."""
    return bare_postgres_url


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


@pytest.mark.slow
def test_the_role_that_only_inserts_decisions_lets_people_in_and_cannot_change_accounts(postgres_url: str) -> None:
    upgrade_schema(parse_url(postgres_url))
    grants = (ROOT / "docs/operations/insert-only-role.sql").read_text(encoding="utf-8")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for role in ("cds_hooks", "cds_auditor"):
            connection.execute(f"DROP ROLE IF EXISTS {role}")
        connection.execute(grants.replace("DATABASE_NAME", str(make_url(postgres_url).database)))
    try:
        add_account(AccessStore(postgres_url), "ann", "Ann", frozenset({Role.VIEWER}), PASSWORD)
        serves = make_url(postgres_url).set(username="cds_hooks").render_as_string(hide_password=False)
        sessions = Sessions(AccessStore(serves), LIFETIMES, secure=False)
        assert check_login(AccessStore(serves), "ann", PASSWORD) is not None
        assert sessions.visitor(sessions.begin(ANN)) is not None
        count_try(AccessStore(serves), "ann", "a")
        with pytest.raises((RecordUnavailable, AccountRefused)):
            disable_account(AccessStore(serves), "ann")
        assert check_login(AccessStore(serves), "ann", PASSWORD) is not None
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("DROP OWNED BY cds_hooks, cds_auditor")
            connection.execute("DROP ROLE cds_hooks, cds_auditor")
