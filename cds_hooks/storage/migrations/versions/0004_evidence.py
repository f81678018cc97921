"""Who was shown the cards, a chain over feedback, events, and removal of what was archived.

A row of decisions or feedback can be deleted only where `removals` names its chain and position.
"""

import sqlalchemy as sa
from alembic import op

from cds_hooks.storage.entries import NO_ENTRY_BEFORE, feedback_hash

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_row_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ARCHIVED = (
    "EXISTS (SELECT 1 FROM removals WHERE removals.chain = {chain} "
    "AND OLD.position BETWEEN removals.first_position AND removals.last_position)"
)
_CHAINS = {"decisions": "OLD.chain", "feedback": "'feedback'"}


def upgrade() -> None:
    """The columns and tables, the chain over the feedback that is there, and the triggers."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.add_column("decisions", sa.Column("user_id", sa.Text))
    op.add_column("feedback", sa.Column("position", sa.BigInteger))
    op.add_column("feedback", sa.Column("previous", sa.LargeBinary))
    op.add_column("feedback", sa.Column("hash", sa.LargeBinary))
    _make_tables()
    for table in ("decisions", "feedback"):
        _drop_triggers(table, sqlite)
    _link_feedback()
    for table, chain in _CHAINS.items():
        _refuse_change(table, sqlite, _ARCHIVED.format(chain=chain))
    for table in ("events", "removals"):
        _refuse_change(table, sqlite, None)


def _make_tables() -> None:
    op.create_table(
        "events",
        sa.Column("sequence", _row_number, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("previous", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "removals",
        sa.Column("sequence", _row_number, primary_key=True, autoincrement=True),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("first_position", sa.BigInteger, nullable=False),
        sa.Column("last_position", sa.BigInteger, nullable=False),
        sa.Column("previous", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("archive", sa.Text, nullable=False),
    )
    op.create_index("removals_by_chain", "removals", ["chain", "first_position"])


def _drop_triggers(table: str, sqlite: bool) -> None:
    for verb in ("update", "delete") if sqlite else ():
        op.execute(f"DROP TRIGGER {table}_refuse_{verb}")
    if not sqlite:
        op.execute(f"DROP TRIGGER {table}_refuse ON {table}")


def _link_feedback() -> None:
    """Links the feedback that is there already, in the order in which it came."""
    connection = op.get_bind()
    feedback = sa.Table("feedback", sa.MetaData(), autoload_with=connection)
    previous = NO_ENTRY_BEFORE
    rows = connection.execute(sa.select(feedback).order_by(feedback.c.sequence)).mappings().all()
    for position, row in enumerate(rows, start=1):
        digest = feedback_hash(previous, position, row)
        change = sa.update(feedback).where(feedback.c.sequence == row["sequence"])
        connection.execute(change.values(position=position, previous=previous, hash=digest))
        previous = digest


def _refuse_change(table: str, sqlite: bool, unless: str | None) -> None:
    if sqlite:
        conditions = {"UPDATE": "", "DELETE": f"WHEN NOT {unless} " if unless else ""}
        for verb, condition in conditions.items():
            op.execute(
                f"CREATE TRIGGER {table}_refuse_{verb.lower()} BEFORE {verb} ON {table} {condition}"
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE OR REPLACE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql "
        f"AS 'BEGIN RAISE EXCEPTION ''{table} is append-only''; END'"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR TRUNCATE{'' if unless else ' OR DELETE'} ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )
    if unless:
        body = f"BEGIN IF {unless} THEN RETURN OLD; END IF; RAISE EXCEPTION '{table} is append-only'; END"
        op.execute(f"CREATE FUNCTION {table}_refuse_row() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
        op.execute(
            f"CREATE TRIGGER {table}_refuse_row BEFORE DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_refuse_row()"
        )
