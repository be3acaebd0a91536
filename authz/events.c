#include "authz/events.h"

#include <stdlib.h>

enum { LIST_MAX = 16, PATH_MAX_LEN = 64 };
/* Longest value, at the first, second and third try to fit a line. */
static const size_t value_max[] = { 1024, 200, 48 };

static const struct {
    enum event_class uid;
    const char *name;
    const char *activities[12];
} classes[] = {
    { ACCOUNT_CHANGE, "Account Change", { [1] = "Create", [9] = "Lock", [10] = "MFA Factor Enable", [11] = "MFA Factor Disable" } },
    { AUTHENTICATION, "Authentication", { [1] = "Logon", [2] = "Logoff" } },
    { ENTITY_MANAGEMENT, "Entity Management", { [1] = "Create", [2] = "Read", [3] = "Update", [4] = "Delete" } },
    { USER_ACCESS, "User Access Management", { [1] = "Assign Privileges", [2] = "Revoke Privileges" } },
    { APPLICATION_LIFECYCLE, "Application Lifecycle", { [1] = "Install", [2] = "Remove", [3] = "Start", [4] = "Stop" } },
    { API_ACTIVITY, "API Activity", { [1] = "Create", [2] = "Read", [3] = "Update", [4] = "Delete" } },
};
static const char *const severities[] = { "Unknown", "Informational", "Low", "Medium", "High", "Critical" };

const char *event_class_name(enum event_class c)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (classes[i].uid == c)
            return classes[i].name;
    return NULL;
}

const char *event_activity_name(enum event_class c, unsigned activity_id)
{
    if (activity_id == 99)
        return "Other";
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (classes[i].uid == c && activity_id < sizeof classes[i].activities / sizeof *classes[i].activities)
            return classes[i].activities[activity_id];
    return NULL;
}

const char *event_severity_name(enum event_severity s)
{
    return severities[s];
}

static const char *category_name(enum event_class c)
{
    return c / 1000 == 3 ? "Identity & Access Management" : "Application Activity";
}

enum sink_severity event_syslog_severity(const struct event_row *row)
{
    return row->severity >= EVENT_HIGH ? SINK_WARNING : row->severity == EVENT_MEDIUM ? SINK_NOTICE : SINK_INFO;
}

const struct event_row *event_row_of(const char *name)
{
    for (size_t i = 0; i < event_table_count; i++)
        if (strcmp(event_table[i].name, name) == 0)
            return &event_table[i];
    return NULL;
}

const struct event_row *event_row_of_leaf(const char *type, const json_t *content)
{
    if (strcmp(type, "segment") == 0 && json_integer_value(json_object_get(content, "number")) == 1)
        return event_row_of("session.opened");
    for (const struct event_quiet *q = event_quiet_table; q->type != NULL; q++)
        if (strcmp(q->type, type) == 0)
            return NULL;
    for (size_t i = 0; i < event_table_count; i++)
        if (event_table[i].leaf != NULL && strcmp(event_table[i].leaf, type) == 0)
            return &event_table[i];
    return event_row_of("log.leaf");
}

/* ---- values ---- */

/* At most max bytes, cut between characters. */
static json_t *bounded(const char *text, size_t max)
{
    size_t n = strlen(text);
    if (n <= max)
        return json_string(text);
    for (n = max; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
        n--;
    char cut[1100];
    snprintf(cut, sizeof cut, "%.*s\u2026", (int)n, text);
    return json_string(cut);
}

/* Texts, numbers, and lists of texts or of persons; NULL: nothing that can be told. */
static json_t *value_of(const json_t *v, size_t max)
{
    if (json_is_string(v))
        return json_string_length(v) > 0 ? bounded(json_string_value(v), max) : NULL;
    if (json_is_integer(v))
        return json_integer(json_integer_value(v));
    if (!json_is_array(v) || json_array_size(v) == 0)
        return NULL;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(v) && i < LIST_MAX; i++) {
        const json_t *each = json_array_get(v, i), *person = json_object_get(each, "person");
        if (json_is_string(person ? person : each))
            json_array_append_new(list, bounded(json_string_value(person ? person : each), max < 200 ? max : 200));
    }
    return list;
}

static const json_t *at_path(const json_t *o, const char *path)
{
    char part[PATH_MAX_LEN];
    while (o != NULL && path[0] != 0) {
        size_t n = strcspn(path, ".");
        snprintf(part, sizeof part, "%.*s", (int)(n < sizeof part ? n : sizeof part - 1), path);
        o = json_object_get(o, part);
        path += n + (path[n] == '.');
    }
    return o;
}

/* Takes v. */
static void put_path(json_t *o, const char *path, json_t *v)
{
    char part[PATH_MAX_LEN];
    for (;;) {
        size_t n = strcspn(path, ".["), last = path[n] != '.';
        snprintf(part, sizeof part, "%.*s", (int)(n < sizeof part ? n : sizeof part - 1), path);
        if (last) {
            json_object_set_new(o, part, path[n] == '[' ? json_pack("[o]", v) : v);
            return;
        }
        json_t *next = json_object_get(o, part);
        if (next == NULL) {
            next = json_object();
            json_object_set_new(o, part, next);
        }
        o = next;
        path += n + 1;
    }
}

static json_t *metadata(const struct event *e)
{
    json_t *m = json_pack("{s:s, s:{s:s, s:s, s:s}, s:s, s:s, s:s}", "version", EVENT_OCSF_VERSION, "product", "name", "Countersign", "vendor_name", "Countersign", "version",
                          COUNTERSIGN_VERSION, "log_provider", e->instance, "event_code", e->row->name, "uid", e->uid);
    const char *session = json_string_value(json_object_get(e->content, "session"));
    if (e->seq > 0)
        json_object_set_new(m, "sequence", json_integer((json_int_t)e->seq));
    if (session != NULL && session[0] != 0)
        json_object_set_new(m, "correlation_uid", bounded(session, 64));
    return m;
}

static json_t *build(const struct event *e, size_t max)
{
    const struct event_row *r = e->row;
    char type_name[96];
    snprintf(type_name, sizeof type_name, "%s: %s", event_class_name(r->class_uid), event_activity_name(r->class_uid, r->activity_id));
    json_t *o = json_pack("{s:I, s:i, s:s, s:i, s:s, s:i, s:s, s:i, s:s, s:i, s:s, s:s, s:i, s:s, s:o}", "time", (json_int_t)e->time_ms, "category_uid", r->class_uid / 1000,
                          "category_name", category_name(r->class_uid), "class_uid", r->class_uid, "class_name", event_class_name(r->class_uid), "activity_id",
                          (int)r->activity_id, "activity_name", event_activity_name(r->class_uid, r->activity_id), "type_uid", (int)(r->class_uid * 100 + r->activity_id),
                          "type_name", type_name, "severity_id", r->severity, "severity", event_severity_name(r->severity), "message", r->meaning, "status_id",
                          r->failure ? 2 : 1, "status", r->failure ? "Failure" : "Success", "metadata", metadata(e));
    for (const struct event_field *f = r->fields; o != NULL && f->from != NULL; f++) {
        json_t *v = f->from[0] == '=' ? json_string(f->from + 1) : value_of(at_path(e->content, f->from), max);
        if (v != NULL)
            put_path(o, f->to, v);
    }
    if (o != NULL && e->count > 1)
        json_object_set_new(o, "count", json_integer((json_int_t)e->count));
    /* What the class demands, and could not be known. */
    if (o != NULL && r->class_uid / 1000 == 3 && r->class_uid != ENTITY_MANAGEMENT && json_object_get(o, "user") == NULL)
        put_path(o, "user.name", json_string("unknown"));
    if (o != NULL && r->class_uid == USER_ACCESS && json_object_get(o, "privileges") == NULL)
        put_path(o, "privileges[]", json_string("unknown"));
    return o;
}

size_t event_line(const struct event *e, char out[SINK_LINE_MAX])
{
    for (size_t i = 0; i < sizeof value_max / sizeof *value_max; i++) {
        json_t *o = build(e, value_max[i]);
        if (o == NULL)
            return 0;
        size_t n = json_dumpb(o, out, SINK_LINE_MAX, JSON_COMPACT | JSON_ENSURE_ASCII);
        if (n >= SINK_LINE_MAX - 1 && i + 1 == sizeof value_max / sizeof *value_max) {
            json_object_del(o, "unmapped");
            n = json_dumpb(o, out, SINK_LINE_MAX, JSON_COMPACT | JSON_ENSURE_ASCII);
        }
        json_decref(o);
        if (n > 0 && n < SINK_LINE_MAX - 1) {
            out[n] = 0;
            return n;
        }
    }
    return 0;
}

/* ---- the reference ---- */

static void write_row(FILE *out, const struct event_row *r)
{
    fprintf(out, "### `%s`\n\n%s\n\n%s (`class_uid` %d), %s (`activity_id` %u, `type_uid` %d); %s (`severity_id` %d); %s%s%s%s.\n\n", r->name, r->meaning, event_class_name(r->class_uid),
            r->class_uid, event_activity_name(r->class_uid, r->activity_id), r->activity_id, (int)(r->class_uid * 100 + r->activity_id), event_severity_name(r->severity),
            r->severity, r->failure ? "Failure" : "Success", r->leaf ? "; told of each leaf `" : "", r->leaf ? r->leaf : "", r->leaf ? "`" : "");
    for (const struct event_field *f = r->fields; f->from != NULL; f++)
        if (f->from[0] == '=')
            fprintf(out, "%s`%s` = \"%s\"", f == r->fields ? "" : ", ", f->to, f->from + 1);
        else
            fprintf(out, "%s`%s`: %s", f == r->fields ? "" : ", ", f->to, f->from);
    fputs(".\n\n", out);
}

void event_write_reference(FILE *out)
{
    fputs("# Audit events\n\nMade by `countersign events --markdown` from the table in `authz/event_table.c`; a test compares the two.\n\n"
          "Each event is one line of JSON by the Open Cybersecurity Schema Framework, version " EVENT_OCSF_VERSION " (schema.ocsf.io), at most 4095 bytes, all ASCII. Where they go to: setting `audit`.\n\n"
          "Every line has `time` (milliseconds), `category_uid`, `class_uid`, `activity_id`, `type_uid` and `severity_id` with their names, `status_id` (1 Success, 2 Failure), `message`, and\n"
          "`metadata`: `version`, `product`, `log_provider` (the instance), `event_code` (the name below), `uid`, and where it tells of a leaf of the signed log `sequence`, its number; `correlation_uid` is the\n"
          "session (or the item) that it belongs to. `count` says how many of the same kind one line stands for, where many came in a second. A line can come twice after a crash: `metadata.uid` is then the same.\n\n"
          "The last paragraph of each event lists its own members: a fixed text after `=`, else after the colon what stands there, as the leaf (authz/README.md) or the message names it. A member whose value is not known, or empty, is left out. Longer values are cut (\"\\u2026\"). Reasons are what people wrote. No line holds a secret, a token, a path, a query, a body, or a customer's id.\n\n", out);
    for (size_t i = 0; i < event_table_count; i++)
        write_row(out, &event_table[i]);
    fputs("## Leaves that are no events\n\n| leaf | why |\n|---|---|\n", out);
    for (const struct event_quiet *q = event_quiet_table; q->type != NULL; q++)
        fprintf(out, "| `%s` | %s |\n", q->type, q->why);
}
