-- name: add_person
INSERT INTO person (name, organisation, full_name, role, totp) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO NOTHING RETURNING name;

-- name: person
SELECT name, organisation, full_name, role, password, totp, totp_step, disabled FROM person WHERE name = $1;

-- name: people
SELECT name, organisation, full_name, role, password IS NOT NULL AS joined, disabled,
    (SELECT count(*) FROM passkey WHERE passkey.person = person.name) AS passkeys
FROM person WHERE organisation = ANY($1::text[]) ORDER BY organisation, name;

-- name: all_people
SELECT name, organisation, full_name, role, password IS NOT NULL AS joined, disabled FROM person
ORDER BY organisation, name;

-- name: set_password
UPDATE person SET password = $2, totp_step = $3 WHERE name = $1;

-- name: set_disabled
UPDATE person SET disabled = $2 WHERE name = $1 RETURNING name;

-- name: start_over
WITH passkeys AS (DELETE FROM passkey WHERE person = $1),
    links AS (DELETE FROM person_link WHERE person = $1),
    sessions AS (DELETE FROM person_session WHERE person = $1)
UPDATE person SET password = NULL, totp = $2, totp_step = 0 WHERE name = $1 RETURNING name;

-- name: use_totp
UPDATE person SET totp_step = $2 WHERE name = $1 AND totp_step < $2 RETURNING name;

-- name: add_link
INSERT INTO person_link (token, person, purpose, expires) VALUES ($1, $2, $3, $4);

-- name: link
SELECT person FROM person_link WHERE token = $1 AND purpose = $2 AND expires > clock_timestamp();

-- name: use_link
DELETE FROM person_link WHERE token = $1 AND purpose = $2 AND expires > clock_timestamp() RETURNING person;

-- name: add_session
INSERT INTO person_session (token, person, expires) VALUES ($1, $2, $3);

-- name: session
SELECT person.name, person.organisation, person.full_name, person.role
FROM person_session AS session JOIN person ON person.name = session.person
WHERE session.token = $1 AND session.expires > clock_timestamp() AND NOT person.disabled;

-- name: end_session
DELETE FROM person_session WHERE token = $1;

-- name: end_sessions
DELETE FROM person_session WHERE person = $1;

-- name: forget_old
WITH links AS (DELETE FROM person_link WHERE expires < clock_timestamp()),
    failures AS (DELETE FROM login_failure WHERE at < clock_timestamp() - interval '1 day')
DELETE FROM person_session WHERE expires < clock_timestamp();

-- name: attempted
INSERT INTO login_failure (key, at) SELECT key, statement_timestamp() FROM unnest($1::text[]) AS key RETURNING at;

-- name: failures
SELECT key, count(*) AS times FROM login_failure
WHERE key = ANY($1::text[]) AND at > clock_timestamp() - interval '15 minutes' GROUP BY key;

-- name: forgive
DELETE FROM login_failure WHERE key = $1 OR key = $2 AND at = $3;

-- name: add_passkey
INSERT INTO passkey (credential, person, public_key, sign_count) VALUES ($1, $2, $3, $4);

-- name: passkey
SELECT credential, person, public_key, sign_count FROM passkey WHERE credential = $1;

-- name: passkeys
SELECT credential FROM passkey WHERE person = $1;

-- name: used_passkey
UPDATE passkey SET sign_count = $2 WHERE credential = $1 AND (sign_count < $2 OR $2 = 0) RETURNING person;
