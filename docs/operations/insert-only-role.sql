-- Roles for the record in PostgreSQL. The owner of the database runs `cds-hooks` once, so that the tables are there,
-- and then this, with DATABASE_NAME replaced. The server connects as cds_hooks, the auditor as cds_auditor.
CREATE ROLE cds_hooks LOGIN;
GRANT CONNECT ON DATABASE DATABASE_NAME TO cds_hooks;
GRANT USAGE ON SCHEMA public TO cds_hooks;
GRANT SELECT ON alembic_version TO cds_hooks;
GRANT SELECT, INSERT ON decisions, feedback, outcomes, events TO cds_hooks;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO cds_hooks;
-- Used tokens (docs/operations/trust.md): these rows are forgotten when they expire.
CREATE TABLE IF NOT EXISTS used_tokens (id bytea PRIMARY KEY, expires bigint NOT NULL);
CREATE INDEX IF NOT EXISTS used_tokens_expires ON used_tokens (expires);
GRANT SELECT, INSERT, DELETE ON used_tokens TO cds_hooks;

CREATE ROLE cds_auditor LOGIN;
GRANT CONNECT ON DATABASE DATABASE_NAME TO cds_auditor;
GRANT USAGE ON SCHEMA public TO cds_auditor;
GRANT SELECT ON decisions, feedback, outcomes, events, removals, alembic_version TO cds_auditor;
