#include "authz/approvals/store.h"

/* Version 1, as the first release made it: never changed. What came later stands in store_steps below, for old and new databases alike.
 * The last line of each table says what can't be, whatever the program does: a decision by the requester, two uses, a state that is none. */
const char *const store_schema[] = {
    "CREATE TABLE IF NOT EXISTS leaf (seq BIGINT PRIMARY KEY, type TEXT NOT NULL, time_ms BIGINT NOT NULL, salt TEXT NOT NULL,"
    " content TEXT NOT NULL, digest TEXT NOT NULL, session TEXT)",
    "CREATE INDEX IF NOT EXISTS leaf_session ON leaf (session, seq)",

    "CREATE TABLE IF NOT EXISTS head (id BIGINT PRIMARY KEY CHECK (id = 1), seq BIGINT NOT NULL, note TEXT NOT NULL)",

    "CREATE TABLE IF NOT EXISTS request (item TEXT PRIMARY KEY, session TEXT NOT NULL UNIQUE, person TEXT NOT NULL,"
    " identity TEXT NOT NULL, x5t TEXT NOT NULL, not_after BIGINT NOT NULL, tool TEXT NOT NULL, reason TEXT NOT NULL,"
    " duration_s BIGINT NOT NULL, policy TEXT NOT NULL, created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, state TEXT NOT NULL,"
    " seq BIGINT NOT NULL,"
    " CHECK (state IN ('pending', 'approved', 'granted', 'denied', 'expired', 'cancelled')))",
    "CREATE INDEX IF NOT EXISTS request_state ON request (state, expires_ms)",
    "CREATE INDEX IF NOT EXISTS request_person ON request (person, state)",

    "CREATE TABLE IF NOT EXISTS held (item TEXT PRIMARY KEY, session TEXT NOT NULL, grant_id TEXT NOT NULL, person TEXT NOT NULL,"
    " identity TEXT NOT NULL, x5t TEXT NOT NULL, tool TEXT NOT NULL, action TEXT NOT NULL, method TEXT NOT NULL,"
    " authority TEXT NOT NULL, target TEXT NOT NULL, digest TEXT NOT NULL, content_type TEXT NOT NULL, body_len BIGINT NOT NULL,"
    " body_sha256 TEXT NOT NULL, reason TEXT NOT NULL, policy TEXT NOT NULL, created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL,"
    " state TEXT NOT NULL, seq BIGINT NOT NULL, used_ms BIGINT, outcome TEXT, status BIGINT,"
    " CHECK (state IN ('pending', 'approved', 'used', 'denied', 'expired', 'cancelled')),"
    " CHECK ((state = 'used') = (used_ms IS NOT NULL)), CHECK (outcome IS NULL OR state = 'used'))",
    "CREATE INDEX IF NOT EXISTS held_state ON held (state, expires_ms)",
    "CREATE INDEX IF NOT EXISTS held_person ON held (person, state)",
    "CREATE INDEX IF NOT EXISTS held_session ON held (session)",

    "CREATE TABLE IF NOT EXISTS decision (item TEXT NOT NULL, person TEXT NOT NULL, requester TEXT NOT NULL, decision TEXT NOT NULL,"
    " at BIGINT NOT NULL, key TEXT NOT NULL, statement TEXT NOT NULL UNIQUE, seq BIGINT NOT NULL, PRIMARY KEY (item, person),"
    " CHECK (decision IN ('approve', 'deny')), CHECK (person <> requester))",

    "CREATE TABLE IF NOT EXISTS statement (id TEXT PRIMARY KEY, item TEXT NOT NULL, person TEXT NOT NULL, nonce TEXT NOT NULL,"
    " text TEXT NOT NULL, exp BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS statement_exp ON statement (exp)",

    "CREATE TABLE IF NOT EXISTS access_grant (grant_id TEXT PRIMARY KEY, session TEXT NOT NULL, item TEXT NOT NULL UNIQUE,"
    " person TEXT NOT NULL, identity TEXT NOT NULL, x5t TEXT NOT NULL, tool TEXT NOT NULL, policy TEXT NOT NULL, iat BIGINT NOT NULL,"
    " exp BIGINT NOT NULL, token TEXT NOT NULL, token_sha256 TEXT NOT NULL, noticed BIGINT NOT NULL, state TEXT NOT NULL, why TEXT,"
    " ended_ms BIGINT, seq BIGINT NOT NULL, CHECK (state IN ('live', 'ended')))",
    "CREATE INDEX IF NOT EXISTS grant_state ON access_grant (state, exp)",

    "CREATE TABLE IF NOT EXISTS new_key (item TEXT PRIMARY KEY, session TEXT NOT NULL, person TEXT NOT NULL, identity TEXT NOT NULL, x5t TEXT NOT NULL,"
    " key TEXT NOT NULL, method TEXT NOT NULL, alg TEXT NOT NULL, spki TEXT NOT NULL, credential TEXT NOT NULL, aaguid TEXT NOT NULL, label TEXT NOT NULL,"
    " rp_id TEXT NOT NULL, origin TEXT NOT NULL, sign_count BIGINT NOT NULL, created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, state TEXT NOT NULL,"
    " seq BIGINT NOT NULL, CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'cancelled', 'ended')),"
    " CHECK (method IN ('passkey', 'hardware', 'command-line')))",
    "CREATE INDEX IF NOT EXISTS new_key_person ON new_key (person, state)",
    "CREATE INDEX IF NOT EXISTS new_key_state ON new_key (state, expires_ms)",

    "CREATE TABLE IF NOT EXISTS lock (lock_id TEXT PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL, reason TEXT NOT NULL,"
    " \"by\" TEXT NOT NULL, created_ms BIGINT NOT NULL, state TEXT NOT NULL, seq BIGINT NOT NULL,"
    " CHECK (kind IN ('person', 'cert', 'grant', 'tool')), CHECK (state IN ('live', 'ended')))",

    "CREATE TABLE IF NOT EXISTS session (session TEXT PRIMARY KEY, person TEXT NOT NULL, identity TEXT NOT NULL, tool TEXT NOT NULL,"
    " reason TEXT NOT NULL, approved_by TEXT NOT NULL, started_ms BIGINT NOT NULL, last_ms BIGINT NOT NULL,"
    " exchanges BIGINT NOT NULL, bytes BIGINT NOT NULL, segments BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS session_started ON session (started_ms)",

    "CREATE TABLE IF NOT EXISTS segment (session TEXT NOT NULL, number BIGINT NOT NULL, digest TEXT NOT NULL, from_ms BIGINT NOT NULL,"
    " to_ms BIGINT NOT NULL, exchanges BIGINT NOT NULL, bytes BIGINT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (session, number))",
    NULL,
};

/* Step i makes version i + 2 of version i + 1; NULL ends a step. */
static const char *const to_2[] = {
    "ALTER TABLE lock RENAME TO lock_1",
    "CREATE TABLE lock (lock_id TEXT PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL, reason TEXT NOT NULL,"
    " \"by\" TEXT NOT NULL, created_ms BIGINT NOT NULL, state TEXT NOT NULL, seq BIGINT NOT NULL,"
    " CHECK (kind IN ('person', 'cert', 'grant', 'tool', 'everything')), CHECK (state IN ('live', 'ended')))",
    "INSERT INTO lock SELECT lock_id, kind, value, reason, \"by\", created_ms, state, seq FROM lock_1",
    "DROP TABLE lock_1",

    /* An extension shares the session of the grant that it extends. */
    "ALTER TABLE request RENAME TO request_1",
    "CREATE TABLE request (item TEXT PRIMARY KEY, session TEXT NOT NULL, person TEXT NOT NULL,"
    " identity TEXT NOT NULL, x5t TEXT NOT NULL, not_after BIGINT NOT NULL, tool TEXT NOT NULL, reason TEXT NOT NULL,"
    " duration_s BIGINT NOT NULL, policy TEXT NOT NULL, created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, state TEXT NOT NULL,"
    " seq BIGINT NOT NULL, actions TEXT NOT NULL, extends TEXT NOT NULL,"
    " CHECK (state IN ('pending', 'approved', 'granted', 'denied', 'expired', 'cancelled')))",
    "INSERT INTO request SELECT item, session, person, identity, x5t, not_after, tool, reason, duration_s, policy, created_ms, expires_ms, state,"
    " seq, '*', '' FROM request_1",
    "DROP TABLE request_1",
    "CREATE INDEX request_state ON request (state, expires_ms)",
    "CREATE INDEX request_person ON request (person, state)",
    "CREATE INDEX request_session ON request (session)",
    "CREATE INDEX request_created ON request (person, created_ms)",
    "CREATE INDEX held_created ON held (person, created_ms)",
    "CREATE INDEX grant_person ON access_grant (person, state)",
    "CREATE INDEX held_done ON held (tool, action, state)",
    /* From a leaf to the row that it made. */
    "CREATE INDEX request_seq ON request (seq)",
    "CREATE INDEX held_seq ON held (seq)",
    "CREATE INDEX grant_seq ON access_grant (seq)",
    "CREATE INDEX new_key_seq ON new_key (seq)",
    "CREATE INDEX decision_seq ON decision (seq)",
    "CREATE INDEX segment_seq ON segment (seq)",
    NULL,
};
/* Notices that wait for the courier, and what was brought before others. Both only name leaves (notices.h). */
static const char *const to_notices[] = {
    "CREATE TABLE notice (notice TEXT PRIMARY KEY, target TEXT NOT NULL, event TEXT NOT NULL, seq BIGINT NOT NULL, weighty BIGINT NOT NULL,"
    " created_ms BIGINT NOT NULL, due_ms BIGINT NOT NULL, tries BIGINT NOT NULL, UNIQUE (target, seq))",
    "CREATE INDEX notice_due ON notice (target, due_ms)",
    "CREATE INDEX notice_created ON notice (created_ms)",
    "CREATE INDEX notice_waiting ON notice (target, weighty)",
    "CREATE TABLE escalated (item TEXT PRIMARY KEY, seq BIGINT NOT NULL)",
    NULL,
};
static const char *const to_erasing[] = {
    /* The leaf that says that the recording is deleted, and whether its files are gone. */
    "ALTER TABLE session ADD COLUMN erased BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE session ADD COLUMN gone BIGINT NOT NULL DEFAULT 0",
    "CREATE INDEX session_last ON session (last_ms, session)",
    NULL,
};
/* Grants without a second person, and the reviews that are owed for some. Older rows were all approved. */
static const char *const to_alone[] = {
    "ALTER TABLE request ADD COLUMN basis TEXT NOT NULL DEFAULT 'approved'",
    "ALTER TABLE request ADD COLUMN rule TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE request ADD COLUMN start_within_s BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE access_grant ADD COLUMN basis TEXT NOT NULL DEFAULT 'approved'",
    "ALTER TABLE access_grant ADD COLUMN start_s BIGINT NOT NULL DEFAULT 0",
    "CREATE TABLE review (review TEXT PRIMARY KEY, item TEXT NOT NULL UNIQUE, session TEXT NOT NULL, person TEXT NOT NULL, identity TEXT NOT NULL,"
    " x5t TEXT NOT NULL, tool TEXT NOT NULL, reason TEXT NOT NULL, created_ms BIGINT NOT NULL, due_ms BIGINT NOT NULL, state TEXT NOT NULL, seq BIGINT NOT NULL,"
    " CHECK (state IN ('pending', 'approved', 'denied')))",
    "CREATE INDEX review_session ON review (session)",
    "CREATE INDEX review_seq ON review (seq)",
    "CREATE TABLE delegation (delegation TEXT PRIMARY KEY, session TEXT NOT NULL, delegator TEXT NOT NULL, delegate TEXT NOT NULL, tools TEXT NOT NULL,"
    " kinds TEXT NOT NULL, key TEXT NOT NULL, from_s BIGINT NOT NULL, until_s BIGINT NOT NULL, jws TEXT, key_item TEXT, sign_count BIGINT, state TEXT NOT NULL,"
    " seq BIGINT NOT NULL, CHECK (state IN ('live', 'expired', 'cancelled')), CHECK (delegator <> delegate))",
    "CREATE INDEX delegation_seq ON delegation (seq)",
    NULL,
};
static const char *const to_policy[] = {
    "CREATE TABLE policy_change (item TEXT PRIMARY KEY, session TEXT NOT NULL, person TEXT NOT NULL, identity TEXT NOT NULL, x5t TEXT NOT NULL,"
    " policy TEXT NOT NULL, was TEXT NOT NULL, changes TEXT NOT NULL, created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, state TEXT NOT NULL,"
    " seq BIGINT NOT NULL, CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'cancelled')))",
    "CREATE INDEX policy_change_state ON policy_change (state, expires_ms)",
    "CREATE INDEX policy_change_seq ON policy_change (seq)",
    NULL,
};
/* What a session touches, by keyed hash (authz/touched.h): only to find it by. */
static const char *const to_touched[] = {
    "CREATE TABLE touched (hash TEXT NOT NULL, session TEXT NOT NULL, first_ms BIGINT NOT NULL, last_ms BIGINT NOT NULL, segments BIGINT NOT NULL,"
    " PRIMARY KEY (hash, session))",
    NULL,
};
/* A lock may be on one identity of a person. */
static const char *const to_identities[] = {
    "ALTER TABLE lock RENAME TO lock_7",
    "CREATE TABLE lock (lock_id TEXT PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL, reason TEXT NOT NULL,"
    " \"by\" TEXT NOT NULL, created_ms BIGINT NOT NULL, state TEXT NOT NULL, seq BIGINT NOT NULL,"
    " CHECK (kind IN ('person', 'identity', 'cert', 'grant', 'tool', 'everything')), CHECK (state IN ('live', 'ended')))",
    "INSERT INTO lock SELECT lock_id, kind, value, reason, \"by\", created_ms, state, seq FROM lock_7",
    "DROP TABLE lock_7",
    NULL,
};
/* To forget what a session touched, and to compare it with its leaves. */
static const char *const to_touched_session[] = {
    "CREATE INDEX touched_session ON touched (session)",
    NULL,
};
/* To find the oldest first, and what hangs on a leaf or an item that is erased. Leaves whose content is erased (leaf_row.h) are what earlier releases cannot read. */
static const char *const to_history[] = {
    "CREATE INDEX request_age ON request (created_ms, item)",
    "CREATE INDEX notice_seq ON notice (seq)",
    "CREATE INDEX statement_item ON statement (item)",
    NULL,
};
const char *const *const store_steps[] = { to_2, to_notices, to_erasing, to_alone, to_policy, to_touched, to_identities, to_touched_session, to_history, NULL };
