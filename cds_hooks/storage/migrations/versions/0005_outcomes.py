"""What happened after a decision: append-only and chained as feedback is, and deletable only where archived."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_row_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ARCHIVED = (
    "EXISTS (SELECT 1 FROM removals WHERE removals.chain = 'outcomes' "
    "AND OLD.position BETWEEN removals.first_position AND removals.last_position)"
)
_REFUSAL = "outcomes is append-only"


def upgrade() -> None:
    """The table and its triggers."""
    op.create_table(
        "outcomes",
        sa.Column("sequence", _row_number, primary_key=True, autoincrement=True),
        sa.Column("decision", sa.Text),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("happened", sa.Text),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("previous", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("decision", "kind", "subject", "version", name="outcomes_once"),
    )
    if op.get_bind().dialect.name == "sqlite":
        _refuse_in_sqlite()
    else:
        _refuse_in_postgres()


def _refuse_in_sqlite() -> None:
    for verb, condition in (("UPDATE", ""), ("DELETE", f"WHEN NOT {_ARCHIVED} ")):
        op.execute(
            f"CREATE TRIGGER outcomes_refuse_{verb.lower()} BEFORE {verb} ON outcomes {condition}"
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )


def _refuse_in_postgres() -> None:
    op.execute(
        "CREATE FUNCTION outcomes_refuse() RETURNS trigger LANGUAGE plpgsql "
        f"AS 'BEGIN RAISE EXCEPTION ''{_REFUSAL}''; END'"
    )
    op.execute(
        "CREATE TRIGGER outcomes_refuse BEFORE UPDATE OR TRUNCATE ON outcomes "
        "FOR EACH STATEMENT EXECUTE FUNCTION outcomes_refuse()"
    )
    body = f"BEGIN IF {_ARCHIVED} THEN RETURN OLD; END IF; RAISE EXCEPTION '{_REFUSAL}'; END"
    op.execute(f"CREATE FUNCTION outcomes_refuse_row() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    op.execute(
        "CREATE TRIGGER outcomes_refuse_row BEFORE DELETE ON outcomes "
        "FOR EACH ROW EXECUTE FUNCTION outcomes_refuse_row()"
    )
