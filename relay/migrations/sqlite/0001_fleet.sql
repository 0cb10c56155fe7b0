-- The relay's database, version 1. Times are seconds since 1970-01-01 UTC; digests, keys and hashes
-- are their 32 bytes; labels are JSON objects; facts, apps and reports are postcard as on the wire.
-- Unsigned numbers of 64 bits lie as signed ones with the same bits.

-- Secrets that all relays of one fleet share.
CREATE TABLE secrets (
    name TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
);

-- Grows with each change of what devices shall run.
CREATE TABLE revision (
    one INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
    revision BIGINT NOT NULL
);
INSERT INTO revision (one, revision) VALUES (1, 1);

-- Operators' tokens.
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE TABLE enroll_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    labels TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    -- The device that used it; a token makes one (clause D21).
    device BIGINT REFERENCES devices (no)
);

-- A removed device stays as a row, for the history of its rollouts.
CREATE TABLE devices (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    public_key BLOB NOT NULL,
    -- The token that made it, or that it enrolled again with. Two devices of one token cannot be
    -- stored, whatever the program does.
    enroll_token BIGINT NOT NULL UNIQUE REFERENCES enroll_tokens (id),
    token_labels TEXT NOT NULL,
    labels TEXT NOT NULL,
    facts BLOB NOT NULL,
    apps BLOB NOT NULL,
    -- SHA-256 over facts and apps as last said.
    said BLOB NOT NULL,
    enrolled_at BIGINT NOT NULL,
    last_seen BIGINT,
    removed_at BIGINT
);
CREATE UNIQUE INDEX devices_id ON devices (id) WHERE removed_at IS NULL;

-- Values that the relay gives.
CREATE TABLE variables (
    device BIGINT NOT NULL REFERENCES devices (no),
    app TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (device, app, name)
);

CREATE TABLE bundles (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    file BLOB NOT NULL UNIQUE,
    bytes BIGINT NOT NULL,
    digest BLOB NOT NULL,
    app TEXT NOT NULL,
    version TEXT NOT NULL,
    seq BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    issued_at BIGINT NOT NULL,
    not_after BIGINT,
    target BLOB NOT NULL,
    target_key TEXT NOT NULL,
    variables BLOB NOT NULL,
    keys TEXT NOT NULL,
    published_at BIGINT NOT NULL,
    published_by TEXT NOT NULL
);
CREATE INDEX bundles_release ON bundles (app, version);

-- Which manifest has a seq of an app for a target: one, however often it is signed anew.
CREATE TABLE seqs (
    app TEXT NOT NULL,
    target_key TEXT NOT NULL,
    seq BIGINT NOT NULL,
    digest BLOB NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (app, target_key, seq)
);

CREATE TABLE rollouts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    version TEXT NOT NULL,
    selector TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    started_by TEXT NOT NULL,
    -- When nothing was pending any more; none again when a device joins later.
    ended_at BIGINT,
    aborted_by TEXT
);
CREATE INDEX rollouts_app ON rollouts (app, version);

-- A device of a rollout, and the bundle that it gets.
CREATE TABLE targets (
    rollout BIGINT NOT NULL REFERENCES rollouts (id),
    device BIGINT NOT NULL REFERENCES devices (no),
    app TEXT NOT NULL,
    bundle BIGINT NOT NULL REFERENCES bundles (no),
    state TEXT NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed')),
    cause TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (rollout, device)
);
CREATE INDEX targets_device ON targets (device, app, rollout);
CREATE INDEX targets_state ON targets (rollout, state);

-- What devices reported, once for each key (clause D51).
CREATE TABLE reports (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    device BIGINT NOT NULL REFERENCES devices (no),
    key BLOB NOT NULL,
    hash BLOB NOT NULL,
    received_at BIGINT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (device, key)
);

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    result TEXT NOT NULL,
    peer TEXT NOT NULL
);
