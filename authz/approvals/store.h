/* store: rows in and out, as JSON objects, in transactions. The index of the log: whatever matters for a decision is read from
 * verified leaves (log.h); rows say where they are and make lists quick.
 *
 * One SQL text for every back end: columns are TEXT and BIGINT only (bytes as base64url, times in milliseconds unless the name says
 * otherwise), parameters $1.. in order of first use. Only store_sqlite.c knows the engine. One thread for each. */
#ifndef COUNTERSIGN_STORE_H
#define COUNTERSIGN_STORE_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <jansson.h>
#include <stdint.h>

struct store;

/* Open or make the database with its tables, brought to the newest version in one transaction; one of a later version is refused (BAD_CONFIG). Every commit is on the disk when it returns. */
MUST_CHECK enum status store_open(const char *path, struct store **out, struct err *err);
/* The same database once more, to read in another thread while the first one is open; and from any thread: let what it is doing fail now (IO_FAILED). */
MUST_CHECK enum status store_open_again(const char *path, struct store **out, struct err *err);
void store_interrupt(struct store *s);
void store_close(struct store *s);               /* NULL is fine */

MUST_CHECK enum status store_begin(struct store *s, struct err *err);
/* FULL: no room on the disk, nothing was kept. IO_FAILED: it is not known what was kept; end the process and start anew. */
MUST_CHECK enum status store_commit(struct store *s, struct err *err);
void store_rollback(struct store *s);
/* Outside of any transaction: what was deleted or written over is gone from the disk's files too, the write-ahead log included. AGAIN: somebody else reads it at the moment. */
MUST_CHECK enum status store_scrub(struct store *s, struct err *err);

/* format: one character a parameter, 's' const char * (NULL is SQL's NULL), 'i' int64_t. sql must be a literal: it is prepared once. */
MUST_CHECK enum status store_run(struct store *s, struct err *err, const char *sql, const char *format, ...);
/* Rows the last store_run() changed. */
int store_changed(const struct store *s);
/* An array of objects; a column that is NULL is left out. */
MUST_CHECK enum status store_rows(struct store *s, json_t **out, struct err *err, const char *sql, const char *format, ...);
/* The first row, or NOT_FOUND. */
MUST_CHECK enum status store_row(struct store *s, json_t **out, struct err *err, const char *sql, const char *format, ...);
/* Each row to fn, until it returns other than OK; the row is borrowed. */
typedef enum status store_each_fn(void *arg, json_t *row, struct err *err);
MUST_CHECK enum status store_each(struct store *s, store_each_fn *fn, void *arg, struct err *err, const char *sql,
                                  const char *format, ...);
/* For going over very many rows: as they stand, without an object for each. All is borrowed until fn returns. */
struct store_view;
typedef enum status store_scan_fn(void *arg, const struct store_view *row, struct err *err);
MUST_CHECK enum status store_scan(struct store *s, store_scan_fn *fn, void *arg, struct err *err, const char *sql, const char *format, ...);
/* Which column has this name; the first of that name; -1: none has. */
int store_view_find(const struct store_view *v, struct slice name);
/* False: it is of another type. A text has no NUL inside and one behind it; it may be anything but UTF-8. */
bool store_view_text(const struct store_view *v, int column, struct slice *out);
bool store_view_null(const struct store_view *v, int column);
bool store_view_number(const struct store_view *v, int column, int64_t *out);
/* The row as store_each() gives it; the caller's. CORRUPT: it holds something other than text and numbers. */
MUST_CHECK enum status store_view_row(const struct store_view *v, json_t **out, struct err *err);
/* Members of the row are its columns: strings, integers, booleans (as 0 and 1). table is a literal. */
MUST_CHECK enum status store_insert(struct store *s, const char *table, const json_t *row, struct err *err);

/* The tables of version 1, one statement each, ended by NULL; and the steps from each version to the next (schema.c). */
extern const char *const store_schema[];
extern const char *const *const store_steps[];

#endif
