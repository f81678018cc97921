-- 0007

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)

CREATE TABLE decisions (
	sequence INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	chain TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	decided_at BIGINT NOT NULL, 
	hook TEXT NOT NULL, 
	service TEXT NOT NULL, 
	hook_instance TEXT NOT NULL, 
	client TEXT NOT NULL, 
	patient TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	input_digest TEXT NOT NULL, 
	previous BLOB NOT NULL, 
	hash BLOB NOT NULL, 
	models BLOB NOT NULL, 
	response BLOB NOT NULL, 
	basis BLOB NOT NULL, user_id TEXT, facts BLOB, 
	PRIMARY KEY (sequence), 
	UNIQUE (id)
)

CREATE TABLE "feedback" (
	sequence INTEGER NOT NULL, 
	card TEXT NOT NULL, 
	decision TEXT, 
	service TEXT NOT NULL, 
	client TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	outcome_timestamp TEXT NOT NULL, 
	accepted_suggestions TEXT NOT NULL, 
	override_reason_code TEXT, 
	override_reason_system TEXT, 
	user_comment TEXT, 
	received_at BIGINT NOT NULL, 
	override_reason_display TEXT, position BIGINT, previous BLOB, hash BLOB, 
	PRIMARY KEY (sequence), 
	CONSTRAINT feedback_once UNIQUE (card, outcome, outcome_timestamp, accepted_suggestions)
)

CREATE INDEX feedback_by_decision ON feedback (decision)

CREATE INDEX feedback_by_time ON feedback (received_at)

CREATE TABLE events (
	sequence INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	previous BLOB NOT NULL, 
	hash BLOB NOT NULL, 
	PRIMARY KEY (sequence)
)

CREATE TABLE removals (
	sequence INTEGER NOT NULL, 
	chain TEXT NOT NULL, 
	first_position BIGINT NOT NULL, 
	last_position BIGINT NOT NULL, 
	previous BLOB NOT NULL, 
	hash BLOB NOT NULL, 
	archive TEXT NOT NULL, 
	PRIMARY KEY (sequence)
)

CREATE INDEX removals_by_chain ON removals (chain, first_position)

CREATE TRIGGER decisions_refuse_update BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions is append-only'); END

CREATE TRIGGER decisions_refuse_delete BEFORE DELETE ON decisions WHEN NOT EXISTS (SELECT 1 FROM removals WHERE removals.chain = OLD.chain AND OLD.position BETWEEN removals.first_position AND removals.last_position) BEGIN SELECT RAISE(ABORT, 'decisions is append-only'); END

CREATE TRIGGER feedback_refuse_update BEFORE UPDATE ON feedback BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END

CREATE TRIGGER feedback_refuse_delete BEFORE DELETE ON feedback WHEN NOT EXISTS (SELECT 1 FROM removals WHERE removals.chain = 'feedback' AND OLD.position BETWEEN removals.first_position AND removals.last_position) BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END

CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events is append-only'); END

CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events is append-only'); END

CREATE TRIGGER removals_refuse_update BEFORE UPDATE ON removals BEGIN SELECT RAISE(ABORT, 'removals is append-only'); END

CREATE TRIGGER removals_refuse_delete BEFORE DELETE ON removals BEGIN SELECT RAISE(ABORT, 'removals is append-only'); END

CREATE TABLE outcomes (
	sequence INTEGER NOT NULL, 
	decision TEXT, 
	service TEXT NOT NULL, 
	client TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	value TEXT NOT NULL, 
	happened TEXT, 
	source TEXT NOT NULL, 
	version BIGINT NOT NULL, 
	received_at BIGINT NOT NULL, 
	position BIGINT NOT NULL, 
	previous BLOB NOT NULL, 
	hash BLOB NOT NULL, 
	PRIMARY KEY (sequence), 
	CONSTRAINT outcomes_once UNIQUE (decision, kind, subject, version)
)

CREATE TRIGGER outcomes_refuse_update BEFORE UPDATE ON outcomes BEGIN SELECT RAISE(ABORT, 'outcomes is append-only'); END

CREATE TRIGGER outcomes_refuse_delete BEFORE DELETE ON outcomes WHEN NOT EXISTS (SELECT 1 FROM removals WHERE removals.chain = 'outcomes' AND OLD.position BETWEEN removals.first_position AND removals.last_position) BEGIN SELECT RAISE(ABORT, 'outcomes is append-only'); END

CREATE INDEX decisions_by_time ON decisions (decided_at)

CREATE INDEX decisions_by_patient ON decisions (patient, decided_at)

CREATE INDEX decisions_by_hook_instance ON decisions (hook_instance)
