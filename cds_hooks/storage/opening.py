"""Opens the decision log that a database URL asks for."""

from cds_hooks.storage.database import parse_url
from cds_hooks.storage.log import DecisionLog
from cds_hooks.storage.migrate import upgrade
from cds_hooks.storage.sqlite import SqliteDecisionLog


def open_decision_log(url: str) -> DecisionLog:
    """The log of an SQLite or PostgreSQL URL, its schema brought up to date; RecordUnavailable when it cannot be."""
    parsed = parse_url(url)
    upgrade(parsed)
    if parsed.get_backend_name() == "sqlite":
        return SqliteDecisionLog(parsed)
    # imported here: psycopg comes with the extra `postgres` only
    from cds_hooks.storage.postgres import PostgresDecisionLog

    return PostgresDecisionLog(parsed)
