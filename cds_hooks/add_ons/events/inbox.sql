CREATE TABLE inbox (
    sequence INTEGER PRIMARY KEY, source TEXT NOT NULL, message_id TEXT NOT NULL, digest BLOB NOT NULL,
    type TEXT NOT NULL, received_at REAL NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
    copies INTEGER NOT NULL DEFAULT 0, counted TEXT NOT NULL DEFAULT '{}', content BLOB,
    UNIQUE (source, message_id, digest)
);

CREATE INDEX inbox_by_state ON inbox (state, sequence);

CREATE INDEX inbox_by_time ON inbox (received_at);

CREATE TABLE facts (
    sequence INTEGER PRIMARY KEY, patient TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, codes TEXT NOT NULL,
    at REAL NOT NULL, rank INTEGER NOT NULL, current INTEGER NOT NULL, status TEXT NOT NULL, inbox INTEGER NOT NULL,
    content BLOB NOT NULL
);

CREATE INDEX facts_by_patient ON facts (patient, current);

CREATE INDEX facts_by_id ON facts (type, id, current);

CREATE TABLE links (
    sequence INTEGER PRIMARY KEY, merged TEXT NOT NULL, survivor TEXT NOT NULL, inbox INTEGER NOT NULL,
    at REAL NOT NULL, undone_at REAL
);

CREATE INDEX links_by_merged ON links (merged);

CREATE INDEX links_by_survivor ON links (survivor);

CREATE TABLE due (
    patient TEXT NOT NULL, service TEXT NOT NULL, since REAL NOT NULL, ready REAL NOT NULL, latest REAL NOT NULL,
    version INTEGER NOT NULL, PRIMARY KEY (patient, service)
) WITHOUT ROWID;

CREATE INDEX due_by_time ON due (ready);

CREATE TABLE withdrawn (sequence INTEGER PRIMARY KEY, patient TEXT NOT NULL, fact TEXT NOT NULL, since REAL NOT NULL);

CREATE TABLE counts (
    feed TEXT NOT NULL, bucket INTEGER NOT NULL, name TEXT NOT NULL, count REAL NOT NULL,
    PRIMARY KEY (feed, bucket, name)
) WITHOUT ROWID;

CREATE TABLE subscriptions (
    feed TEXT PRIMARY KEY, epoch INTEGER NOT NULL, highest INTEGER NOT NULL, status TEXT NOT NULL, seen_at REAL NOT NULL,
    gaps TEXT NOT NULL DEFAULT '[]'
) WITHOUT ROWID;

CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, subject TEXT NOT NULL, at REAL NOT NULL,
    data TEXT NOT NULL
);

CREATE TABLE deliveries (
    webhook TEXT PRIMARY KEY, delivered INTEGER NOT NULL, failures INTEGER NOT NULL, retry_at REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS incidents (
    number INTEGER PRIMARY KEY, opened INTEGER NOT NULL, closed INTEGER, content TEXT NOT NULL
);

CREATE TABLE set_aside (
    webhook TEXT NOT NULL, sequence INTEGER NOT NULL, subject TEXT NOT NULL, failures INTEGER NOT NULL,
    retry_at REAL NOT NULL, is_dead INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (webhook, sequence)
) WITHOUT ROWID;
