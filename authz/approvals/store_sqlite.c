#include "authz/approvals/store.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATEMENTS_MAX = 512, SQL_MAX = 1024, COLUMNS_MAX = 32 };

struct prepared {
    const char *sql;                  /* the literal's address is its name */
    sqlite3_stmt *stmt;
};

struct store {
    sqlite3 *db;
    struct prepared cache[STATEMENTS_MAX];
    size_t cached;
};

static enum status db_fail(struct store *s, int code, const char *what, struct err *err)
{
    int primary = code & 0xff;
    enum status st = primary == SQLITE_FULL                                     ? FULL
                     : primary == SQLITE_NOMEM                                  ? NO_MEMORY
                     : primary == SQLITE_CONSTRAINT                             ? EXISTS
                     : primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB    ? CORRUPT
                                                                                : IO_FAILED;
    return fail(err, st, "database: %s: %s", what, sqlite3_errmsg(s->db));
}

enum { BUSY_MS = 2000 };

static enum status exec(struct store *s, const char *sql, struct err *err)
{
    int r = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return r == SQLITE_OK ? OK : db_fail(s, r, sql, err);
}

static enum status exec_all(struct store *s, const char *const *sql, struct err *err)
{
    enum status st = OK;
    for (; st == OK && *sql != NULL; sql++)
        st = exec(s, *sql, err);
    return st;
}

/* The version of the tables; 1 when it was made before versions were kept, 0 when it is new. */
static enum status read_version(struct store *s, int64_t *out, struct err *err)
{
    json_t *row = NULL;
    enum status st = store_row(s, &row, err, "SELECT version FROM schema_version WHERE id = 1", "");
    if (st == NOT_FOUND) {
        st = store_row(s, &row, err, "SELECT count(*) AS version FROM sqlite_master WHERE name = 'leaf'", "");
    }
    *out = json_integer_value(json_object_get(row, "version"));
    json_decref(row);
    return st;
}

/* In one transaction: all of a step or nothing. */
static enum status bring_up(struct store *s, const char *path, struct err *err)
{
    int64_t version = 0, newest = 1;
    while (store_steps[newest - 1] != NULL)
        newest++;
    enum status st = exec(s, "CREATE TABLE IF NOT EXISTS schema_version (id BIGINT PRIMARY KEY CHECK (id = 1), version BIGINT NOT NULL)", err);
    if (st == OK)
        st = read_version(s, &version, err);
    if (st == OK && version > newest)
        return fail(err, BAD_CONFIG, "'%s' was written by a later release (version %lld of its tables; this one knows %lld); run that release", path,
                    (long long)version, (long long)newest);
    if (st == OK && version <= 1) {   /* the first releases added tables to it */
        st = exec_all(s, store_schema, err);
        version = 1;
    }
    for (; st == OK && version < newest; version++)
        st = exec_all(s, store_steps[version - 1], err);
    if (st == OK)
        st = store_run(s, err, "INSERT INTO schema_version (id, version) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET version = excluded.version", "i",
                       version);
    return st;
}

enum status store_open(const char *path, struct store **out, struct err *err)
{
    static const char *const settings[] = { "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON",
                                            "PRAGMA trusted_schema=OFF", "PRAGMA busy_timeout=2000",   /* BUSY_MS */
                                            "PRAGMA secure_delete=ON" };   /* what is deleted is written over with zeros */
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return fail(err, NO_MEMORY, "database");
    int r = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL);
    enum status st = r == SQLITE_OK ? OK : fail(err, IO_FAILED, "cannot open '%s': %s", path, sqlite3_errstr(r));
    for (size_t i = 0; st == OK && i < sizeof settings / sizeof *settings; i++)
        st = exec(s, settings[i], err);
    if (st == OK)
        st = exec(s, "BEGIN IMMEDIATE", err);
    if (st == OK)
        st = bring_up(s, path, err);
    if (st == OK)
        st = exec(s, "COMMIT", err);
    if (st != OK) {
        store_close(s);
        return st;
    }
    *out = s;
    return OK;
}

enum status store_open_again(const char *path, struct store **out, struct err *err)
{
    static const char *const settings[] = { "PRAGMA trusted_schema=OFF", "PRAGMA busy_timeout=2000", "PRAGMA query_only=ON", NULL };
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return fail(err, NO_MEMORY, "database");
    int r = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL);
    enum status st = r == SQLITE_OK ? exec_all(s, settings, err) : db_fail(s, r, path, err);
    if (st == OK)
        *out = s;
    else
        store_close(s);
    return st;
}

void store_interrupt(struct store *s)
{
    sqlite3_interrupt(s->db);
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->cached; i++)
        sqlite3_finalize(s->cache[i].stmt);
    sqlite3_close(s->db);
    free(s);
}

enum status store_begin(struct store *s, struct err *err)
{
    return exec(s, "BEGIN IMMEDIATE", err);
}

enum status store_commit(struct store *s, struct err *err)
{
    return exec(s, "COMMIT", err);
}

void store_rollback(struct store *s)
{
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

enum status store_scrub(struct store *s, struct err *err)
{
    sqlite3_busy_timeout(s->db, 0);   /* nobody waits for somebody who looks */
    int r = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    return r == SQLITE_OK     ? OK
           : r == SQLITE_BUSY ? fail(err, AGAIN, "somebody reads the database")
                              : db_fail(s, r, "write-ahead log", err);
}

int store_changed(const struct store *s)
{
    return sqlite3_changes(s->db);
}

static enum status prepare(struct store *s, const char *sql, sqlite3_stmt **out, struct err *err)
{
    for (size_t i = 0; i < s->cached; i++)
        if (s->cache[i].sql == sql) {
            *out = s->cache[i].stmt;
            return OK;
        }
    if (s->cached == STATEMENTS_MAX)
        return fail(err, FULL, "database: more than %d different statements", STATEMENTS_MAX);
    int r = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    if (r != SQLITE_OK)
        return db_fail(s, r, sql, err);
    s->cache[s->cached++] = (struct prepared){ sql, *out };
    return OK;
}

static enum status bind(struct store *s, sqlite3_stmt *stmt, const char *format, va_list ap, struct err *err)
{
    int n = 0, r = SQLITE_OK;
    for (const char *f = format; *f != 0 && r == SQLITE_OK; f++) {
        n++;
        if (*f == 'i')
            r = sqlite3_bind_int64(stmt, n, va_arg(ap, int64_t));
        else
            r = sqlite3_bind_text(stmt, n, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
    }
    if (r == SQLITE_OK && n != sqlite3_bind_parameter_count(stmt))
        return fail(err, IO_FAILED, "database: %d parameters given for '%s'", n, sqlite3_sql(stmt));
    return r == SQLITE_OK ? OK : db_fail(s, r, "parameters", err);
}

static json_t *row_object(sqlite3_stmt *stmt)
{
    json_t *row = json_object();
    for (int i = 0; row != NULL && i < sqlite3_column_count(stmt); i++) {
        json_t *v = NULL;
        int type = sqlite3_column_type(stmt, i);
        if (type == SQLITE_NULL)
            continue;
        if (type == SQLITE_INTEGER)
            v = json_integer(sqlite3_column_int64(stmt, i));
        else if (type == SQLITE_TEXT)   /* NULL when somebody wrote bytes there that are not UTF-8: then there is no row */
            v = json_stringn((const char *)sqlite3_column_text(stmt, i), (size_t)sqlite3_column_bytes(stmt, i));
        if (v == NULL || json_object_set_new(row, sqlite3_column_name(stmt, i), v) != 0) {
            json_decref(row);
            return NULL;
        }
    }
    return row;
}

struct store_view {
    sqlite3_stmt *stmt;
    int count;                        /* COLUMNS_MAX at most; later ones are not found by name */
    struct slice names[COLUMNS_MAX];
};

static void view_begin(struct store_view *v, sqlite3_stmt *stmt)
{
    v->stmt = stmt;
    v->count = sqlite3_column_count(stmt) < COLUMNS_MAX ? sqlite3_column_count(stmt) : COLUMNS_MAX;
    for (int i = 0; i < v->count; i++)
        v->names[i] = slice_str(sqlite3_column_name(stmt, i));
}

int store_view_find(const struct store_view *v, struct slice name)
{
    for (int i = 0; i < v->count; i++)
        if (slice_eq(v->names[i], name))
            return i;
    return -1;
}

bool store_view_text(const struct store_view *v, int column, struct slice *out)
{
    *out = SLICE("");
    if (column < 0 || sqlite3_column_type(v->stmt, column) != SQLITE_TEXT)
        return false;
    const unsigned char *text = sqlite3_column_text(v->stmt, column);
    *out = text ? slice_of(text, (size_t)sqlite3_column_bytes(v->stmt, column)) : *out;
    return text != NULL && memchr(text, 0, out->len) == NULL;
}

bool store_view_null(const struct store_view *v, int column)
{
    return column >= 0 && sqlite3_column_type(v->stmt, column) == SQLITE_NULL;
}

bool store_view_number(const struct store_view *v, int column, int64_t *out)
{
    bool is = column >= 0 && sqlite3_column_type(v->stmt, column) == SQLITE_INTEGER;
    *out = is ? sqlite3_column_int64(v->stmt, column) : 0;
    return is;
}

enum status store_view_row(const struct store_view *v, json_t **out, struct err *err)
{
    *out = row_object(v->stmt);
    return *out ? OK : fail(err, CORRUPT, "database: a row holds something other than text and numbers");
}

static enum status scan_all(struct store *s, sqlite3_stmt *stmt, store_scan_fn *fn, void *arg, struct err *err)
{
    struct store_view v;
    enum status st = OK;
    int r;
    for (bool first = true; st == OK && (r = sqlite3_step(stmt)) != SQLITE_DONE; first = false) {
        if (r != SQLITE_ROW)
            return db_fail(s, r, sqlite3_sql(stmt), err);
        if (first)                    /* the first step may have prepared it anew */
            view_begin(&v, stmt);
        st = fn(arg, &v, err);
    }
    return st;
}

static enum status step_all(struct store *s, sqlite3_stmt *stmt, store_each_fn *fn, void *arg, struct err *err)
{
    enum status st = OK;
    int r;
    while (st == OK && (r = sqlite3_step(stmt)) != SQLITE_DONE) {
        if (r != SQLITE_ROW)
            return db_fail(s, r, sqlite3_sql(stmt), err);
        json_t *row = row_object(stmt);
        st = row == NULL ? fail(err, CORRUPT, "database: a row holds something other than text and numbers")
             : fn        ? fn(arg, row, err)
                         : OK;
        json_decref(row);
    }
    return st;
}

static enum status query(struct store *s, store_each_fn *fn, void *arg, struct err *err, const char *sql, const char *format,
                         va_list ap)
{
    sqlite3_stmt *stmt = NULL;
    enum status st = prepare(s, sql, &stmt, err);
    if (st != OK)
        return st;
    st = bind(s, stmt, format, ap, err);
    if (st == OK)
        st = step_all(s, stmt, fn, arg, err);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return st;
}

enum status store_scan(struct store *s, store_scan_fn *fn, void *arg, struct err *err, const char *sql, const char *format, ...)
{
    sqlite3_stmt *stmt = NULL;
    va_list ap;
    va_start(ap, format);
    enum status st = prepare(s, sql, &stmt, err);
    if (st == OK)
        st = bind(s, stmt, format, ap, err);
    va_end(ap);
    if (st == OK)
        st = scan_all(s, stmt, fn, arg, err);
    if (stmt != NULL) {
        sqlite3_reset(stmt);
        sqlite3_clear_bindings(stmt);
    }
    return st;
}

enum status store_run(struct store *s, struct err *err, const char *sql, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    enum status st = query(s, NULL, NULL, err, sql, format, ap);
    va_end(ap);
    return st;
}

enum status store_each(struct store *s, store_each_fn *fn, void *arg, struct err *err, const char *sql, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    enum status st = query(s, fn, arg, err, sql, format, ap);
    va_end(ap);
    return st;
}

static enum status collect(void *arg, json_t *row, struct err *err)
{
    return json_array_append(arg, row) == 0 ? OK : fail(err, NO_MEMORY, "rows");
}

enum status store_rows(struct store *s, json_t **out, struct err *err, const char *sql, const char *format, ...)
{
    json_t *rows = json_array();
    va_list ap;
    va_start(ap, format);
    enum status st = rows ? query(s, collect, rows, err, sql, format, ap) : fail(err, NO_MEMORY, "rows");
    va_end(ap);
    if (st == OK)
        *out = rows;
    else
        json_decref(rows);
    return st;
}

enum status store_row(struct store *s, json_t **out, struct err *err, const char *sql, const char *format, ...)
{
    json_t *rows = json_array();
    va_list ap;
    va_start(ap, format);
    enum status st = rows ? query(s, collect, rows, err, sql, format, ap) : fail(err, NO_MEMORY, "rows");
    va_end(ap);
    if (st == OK && json_array_size(rows) == 0)
        st = fail(err, NOT_FOUND, "no such row");
    if (st == OK)
        *out = json_incref(json_array_get(rows, 0));
    json_decref(rows);
    return st;
}

/* Column names come from our own code, never from a message. */
static int insert_text(const char *table, const json_t *row, char out[SQL_MAX])
{
    const char *key;
    json_t *value;
    int n = snprintf(out, SQL_MAX, "INSERT INTO %s (", table), count = 0;
    json_object_foreach((json_t *)(uintptr_t)row, key, value)
        if (n < SQL_MAX)
            n += snprintf(out + n, (size_t)(SQL_MAX - n), "%s\"%s\"", count++ ? ", " : "", key);
    if (n < SQL_MAX)
        n += snprintf(out + n, (size_t)(SQL_MAX - n), ") VALUES (");
    for (int i = 1; i <= count && n < SQL_MAX; i++)
        n += snprintf(out + n, (size_t)(SQL_MAX - n), "%s$%d", i > 1 ? ", " : "", i);
    if (n < SQL_MAX)
        n += snprintf(out + n, (size_t)(SQL_MAX - n), ")");
    return n;
}

static int bind_value(sqlite3_stmt *stmt, int n, const json_t *v)
{
    if (json_is_string(v))
        return sqlite3_bind_text(stmt, n, json_string_value(v), (int)json_string_length(v), SQLITE_TRANSIENT);
    if (json_is_boolean(v))
        return sqlite3_bind_int64(stmt, n, json_is_true(v));
    return json_is_integer(v) ? sqlite3_bind_int64(stmt, n, json_integer_value(v)) : SQLITE_MISMATCH;
}

enum status store_insert(struct store *s, const char *table, const json_t *row, struct err *err)
{
    char sql[SQL_MAX];
    const char *key;
    json_t *value;
    sqlite3_stmt *stmt = NULL;
    if (insert_text(table, row, sql) >= SQL_MAX)
        return fail(err, IO_FAILED, "database: too many columns for '%s'", table);
    int r = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL), n = 0;
    json_object_foreach((json_t *)(uintptr_t)row, key, value)
        if (r == SQLITE_OK)
            r = bind_value(stmt, ++n, value);
    if (r == SQLITE_OK)
        r = sqlite3_step(stmt);
    enum status st = r == SQLITE_DONE ? OK : db_fail(s, r, table, err);
    sqlite3_finalize(stmt);
    return st;
}
