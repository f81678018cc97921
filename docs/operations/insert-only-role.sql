-- Roles for the record in PostgreSQL. The owner of the database runs `cds-hooks` once, so that the tables are there,
-- and then this, with DATABASE_NAME replaced. The server connects as cds_hooks, the auditor as cds_auditor.
CREATE ROLE cds_hooks LOGIN;
GRANT CONNECT ON DATABASE DATABASE_NAME TO cds_hooks;
GRANT USAGE ON SCHEMA public TO cds_hooks;
GRANT SELECT ON record_schema TO cds_hooks;
GRANT SELECT, INSERT ON chain, decisions, charts, feedback, outcomes, events TO cds_hooks;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO cds_hooks;
-- Used tokens (docs/operations/trust.md): these rows are forgotten when they expire.
CREATE TABLE IF NOT EXISTS used_tokens (id bytea PRIMARY KEY, expires bigint NOT NULL);
CREATE INDEX IF NOT EXISTS used_tokens_expires ON used_tokens (expires);
GRANT SELECT, INSERT, DELETE ON used_tokens TO cds_hooks;
-- Accounts and sessions of people (docs/operations/access.md); they change and are deleted, and are no part of the record.
CREATE TABLE IF NOT EXISTS access_accounts (name text PRIMARY KEY, full_name text NOT NULL, roles text NOT NULL,
    password_hash text NOT NULL, state text NOT NULL, changed_at float NOT NULL);
CREATE TABLE IF NOT EXISTS access_sessions (id bytea PRIMARY KEY, account text NOT NULL, actor text NOT NULL,
    full_name text NOT NULL, roles text NOT NULL, issuer text NOT NULL, form_token text NOT NULL,
    bound_client text, bound_patient text, bound_decision text, seen_at float NOT NULL, ends_at float NOT NULL);
CREATE INDEX IF NOT EXISTS access_sessions_by_account ON access_sessions (account);
CREATE TABLE IF NOT EXISTS access_tries (id text PRIMARY KEY, subject bytea NOT NULL, at float NOT NULL);
CREATE INDEX IF NOT EXISTS access_tries_by_subject ON access_tries (subject, at);
CREATE TABLE IF NOT EXISTS access_pending (state bytea PRIMARY KEY, browser bytea NOT NULL, detail text NOT NULL,
    ends_at float NOT NULL);
GRANT SELECT ON access_accounts TO cds_hooks;
GRANT SELECT, INSERT, UPDATE, DELETE ON access_sessions, access_tries, access_pending TO cds_hooks;

CREATE ROLE cds_auditor LOGIN;
GRANT CONNECT ON DATABASE DATABASE_NAME TO cds_auditor;
GRANT USAGE ON SCHEMA public TO cds_auditor;
GRANT SELECT ON chain, decisions, charts, feedback, outcomes, events, removals, record_schema TO cds_auditor;
GRANT SELECT (name, roles, state) ON access_accounts TO cds_auditor;
