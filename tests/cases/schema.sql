CREATE TABLE charts (
	sequence INTEGER NOT NULL, 
	hash BLOB NOT NULL, 
	content BLOB NOT NULL, 
	PRIMARY KEY (sequence), 
	UNIQUE (hash)
);

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
	user_id TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	input_digest TEXT NOT NULL, 
	previous BLOB NOT NULL, 
	hash BLOB NOT NULL, 
	chart BLOB, 
	models BLOB NOT NULL, 
	response BLOB NOT NULL, 
	basis BLOB NOT NULL, 
	facts BLOB, 
	PRIMARY KEY (sequence), 
	UNIQUE (id)
);

CREATE INDEX decisions_by_chart ON decisions (chart);

CREATE INDEX decisions_by_hook_instance ON decisions (hook_instance);

CREATE INDEX decisions_by_patient ON decisions (patient, decided_at);

CREATE INDEX decisions_by_time ON decisions (decided_at);

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
);

CREATE TABLE feedback (
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
	override_reason_display TEXT, 
	position BIGINT NOT NULL, 
	previous BLOB NOT NULL, 
	hash BLOB NOT NULL, 
	PRIMARY KEY (sequence), 
	CONSTRAINT feedback_once UNIQUE (card, outcome, outcome_timestamp, accepted_suggestions)
);

CREATE INDEX feedback_by_decision ON feedback (decision);

CREATE INDEX feedback_by_time ON feedback (received_at);

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
);

CREATE TABLE removals (
	sequence INTEGER NOT NULL, 
	chain TEXT NOT NULL, 
	first_position BIGINT NOT NULL, 
	last_position BIGINT NOT NULL, 
	previous BLOB NOT NULL, 
	hash BLOB NOT NULL, 
	run TEXT NOT NULL, 
	PRIMARY KEY (sequence)
);

CREATE INDEX removals_by_chain ON removals (chain, first_position);

CREATE TABLE access_accounts (
	name TEXT NOT NULL, 
	full_name TEXT NOT NULL, 
	roles TEXT NOT NULL, 
	password_hash TEXT NOT NULL, 
	state TEXT NOT NULL, 
	changed_at FLOAT NOT NULL, 
	PRIMARY KEY (name)
);

CREATE TABLE access_pending (
	state BLOB NOT NULL, 
	browser BLOB NOT NULL, 
	detail TEXT NOT NULL, 
	ends_at FLOAT NOT NULL, 
	PRIMARY KEY (state)
);

CREATE TABLE access_sessions (
	id BLOB NOT NULL, 
	account TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	full_name TEXT NOT NULL, 
	roles TEXT NOT NULL, 
	issuer TEXT NOT NULL, 
	form_token TEXT NOT NULL, 
	bound_client TEXT, 
	bound_patient TEXT, 
	bound_decision TEXT, 
	seen_at FLOAT NOT NULL, 
	ends_at FLOAT NOT NULL, 
	PRIMARY KEY (id)
);

CREATE INDEX access_sessions_by_account ON access_sessions (account);

CREATE TABLE access_tries (
	id TEXT NOT NULL, 
	subject BLOB NOT NULL, 
	at FLOAT NOT NULL, 
	PRIMARY KEY (id)
);

CREATE INDEX access_tries_by_subject ON access_tries (subject, at);
