-- People of supervising organisations, who look at the console. They sign nothing and reach no message's sealed part.
CREATE TABLE person (
    name text PRIMARY KEY,
    organisation text NOT NULL,
    full_name text NOT NULL,
    role text NOT NULL,
    -- Argon2; null until the invitation was taken up.
    password text,
    totp text NOT NULL,
    -- The last time step that a code was taken for: no code counts twice (RFC 6238 §5.2).
    totp_step bigint NOT NULL DEFAULT 0,
    disabled boolean NOT NULL DEFAULT false,
    made timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Links handed to one person, each good once: SHA-256 of the token.
CREATE TABLE person_link (
    token bytea PRIMARY KEY,
    person text NOT NULL,
    purpose text NOT NULL,
    expires timestamptz NOT NULL
);
CREATE TABLE person_session (
    token bytea PRIMARY KEY,
    person text NOT NULL,
    expires timestamptz NOT NULL
);
-- WebAuthn credentials.
CREATE TABLE passkey (
    credential bytea PRIMARY KEY,
    person text NOT NULL,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    made timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Failed log-ins by account or address, for slowing them down.
CREATE TABLE login_failure (
    key text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX login_failure_recent ON login_failure (key, at);
