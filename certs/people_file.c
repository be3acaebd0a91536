#include "certs/people_file.h"

#include "proxy/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEOPLE_BYTES_MAX = 16 << 20, NAME_MAX_LEN = 64, GROUPS_MAX = 256 };

/* ---- reading --------------------------------------------------------------------------------------------------- */

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static enum status read_config(const char *path, config_t *c, struct err *err)
{
    char *dir = folder_of(path);
    config_init(c);                      /* before anything can fail: callers destroy it either way */
    if (dir == NULL)
        return fail(err, NO_MEMORY, "reading '%s'", path);
    config_set_include_dir(c, dir);
    free(dir);
    if (access(path, R_OK) != 0)
        return fail(err, errno == ENOENT ? NOT_FOUND : IO_FAILED, "cannot open '%s': %s", path, strerror(errno));
    if (config_read_file(c, path) != CONFIG_TRUE)
        return fail(err, BAD_CONFIG, "%s:%d: %s", config_error_file(c) ? config_error_file(c) : path, config_error_line(c), config_error_text(c));
    return OK;
}

/* The same file, absolute, its own name kept even if it is a symbolic link: paths in it are seen from where the link is. */
static char *absolute(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = folder_of(path), *real = dir ? realpath(dir, NULL) : NULL;
    char *out = real ? file_join(real, slash ? slash + 1 : path) : NULL;
    free(dir);
    free(real);
    return out;
}

/* The file a setting stands in, malloc'd. libconfig 1.5 names an included file as it is written there, 1.7 with the include folder before it. */
static char *source_of(const config_setting_t *s, const char *config_path)
{
    const char *file = config_setting_source_file(s);
    char *dir = folder_of(config_path);
    char *out = dir ? file_join(dir, file ? file : config_path) : NULL;
    free(dir);
    return out;
}

/* A path setting, seen from the folder of the file it stands in; or the fallback, seen from the config's folder. */
static char *path_setting(const config_t *c, const char *config_path, const char *name, const char *fallback)
{
    const config_setting_t *s = config_lookup(c, name);
    const char *text = s ? config_setting_get_string(s) : NULL;
    char *file = text ? source_of(s, config_path) : strdup(config_path);
    char *dir = file ? folder_of(file) : NULL;
    const char *name_there = text ? text : fallback;
    char *out = NULL;
    if (dir != NULL)
        out = strcmp(name_there, ".") == 0 ? strdup(dir) : file_join(dir, name_there);   /* no "/./" in what people read */
    free(file);
    free(dir);
    return out;
}

static enum status fill_paths(const config_t *c, const char *path, struct state_paths *p, struct err *err)
{
    const config_setting_t *people = config_lookup(c, "people");
    p->state = path_setting(c, path, "state", ".");
    p->approval_keys = path_setting(c, path, "approval_keys", "approval_keys");
    p->people = people ? source_of(people, path) : NULL;
    if (p->state == NULL || p->approval_keys == NULL || (people != NULL && p->people == NULL))
        return fail(err, NO_MEMORY, "reading '%s'", path);
    return OK;
}

enum status state_paths_read(const char *config_path, struct state_paths *out, struct err *err)
{
    config_t c;
    struct state_paths p = { 0 };
    char *path = absolute(config_path);
    if (path == NULL)
        return fail(err, NOT_FOUND, "cannot open '%s': %s", config_path, strerror(errno));
    enum status st = read_config(path, &c, err);
    if (st == OK)
        st = fill_paths(&c, path, &p, err);
    config_destroy(&c);
    free(path);
    if (st == OK)
        *out = p;
    else
        state_paths_done(&p);
    return st;
}

void state_paths_done(struct state_paths *p)
{
    free(p->state);
    free(p->approval_keys);
    free(p->people);
    *p = (struct state_paths){ 0 };
}

static bool has_identity(const config_setting_t *person, const char *identity)
{
    const config_setting_t *list = config_setting_get_member((config_setting_t *)person, "identities");
    for (int i = 0; list != NULL && i < config_setting_length(list); i++) {
        const char *text = config_setting_get_string_elem(list, i);
        if (text != NULL && strcmp(text, identity) == 0)
            return true;
    }
    return false;
}

static enum person_found find_in(const config_setting_t *people, const char *name, const char *identity, char other_out[65])
{
    enum person_found found = PERSON_ABSENT;
    other_out[0] = 0;
    for (int i = 0; people != NULL && i < config_setting_length(people); i++) {
        const config_setting_t *person = config_setting_get_elem(people, (unsigned)i);
        const char *called = NULL;
        if (!config_setting_is_group(person) || config_setting_lookup_string(person, "name", &called) != CONFIG_TRUE)
            continue;
        bool same = strcmp(called, name) == 0, has = has_identity(person, identity);
        if (same && has)
            return PERSON_LISTED;
        if (same || has)
            found = PERSON_CLASH;
        if (has)
            snprintf(other_out, NAME_MAX_LEN + 1, "%s", called);
    }
    return found;
}

enum status people_file_find(const char *people_path, const char *name, const char *identity, enum person_found *out, char other_out[65],
                             struct err *err)
{
    config_t c;
    other_out[0] = 0;
    *out = PERSON_ABSENT;
    if (people_path == NULL)
        return OK;
    enum status st = read_config(people_path, &c, err);
    if (st == OK)
        *out = find_in(config_lookup(&c, "people"), name, identity, other_out);
    config_destroy(&c);
    return st;
}

/* ---- finding the place ----------------------------------------------------------------------------------------- */

/* libconfig's words: comments (#, //, block), strings with escapes, brackets, and everything else. */
struct reader {
    struct slice text;
    size_t at;
};

static bool starts_here(const struct reader *r, const char *what)
{
    return slice_starts(slice_from(r->text, r->at), slice_str(what));
}

static void skip_to(struct reader *r, const char *end)
{
    while (r->at < r->text.len && !starts_here(r, end))
        r->at++;
    r->at += r->at < r->text.len ? strlen(end) : 0;
}

static void skip_string(struct reader *r)
{
    for (r->at++; r->at < r->text.len && r->text.ptr[r->at] != '"'; r->at++)
        if (r->text.ptr[r->at] == '\\')
            r->at++;
    r->at = r->at < r->text.len ? r->at + 1 : r->text.len;
}

static bool is_word(unsigned char c)
{
    unsigned char l = ascii_lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || (c != 0 && strchr("*_-.", c) != NULL);
}

/* The next token that is neither space nor comment; false at the end. */
static bool next_token(struct reader *r, struct slice *out)
{
    while (r->at < r->text.len) {
        unsigned char c = r->text.ptr[r->at];
        size_t start = r->at;
        if (c == '#' || starts_here(r, "//")) {
            skip_to(r, "\n");
            continue;
        }
        if (starts_here(r, "/*")) {
            r->at += 2;
            skip_to(r, "*/");
            continue;
        }
        if (strchr(" \t\r\n\f\v", c) != NULL && c != 0) {
            r->at++;
            continue;
        }
        if (c == '"')
            skip_string(r);
        else
            for (r->at++; is_word(c) && r->at < r->text.len && is_word(r->text.ptr[r->at]); r->at++)
                ;
        *out = slice_of(r->text.ptr + start, r->at - start);
        return true;
    }
    return false;
}

static int depth_change(struct slice token)
{
    if (token.len != 1 || token.ptr[0] == 0)
        return 0;
    if (strchr("({[", token.ptr[0]) != NULL)
        return 1;
    return strchr(")}]", token.ptr[0]) != NULL ? -1 : 0;
}

/* people ( "=" / ":" ) "(", on the top level; r stands behind the parenthesis afterwards. */
static bool find_list(struct reader *r)
{
    struct slice token;
    int depth = 0, matched = 0;
    while (next_token(r, &token)) {
        bool fits = (matched == 0 && depth == 0 && slice_eq(token, SLICE("people")))
                    || (matched == 1 && (slice_eq(token, SLICE("=")) || slice_eq(token, SLICE(":"))))
                    || (matched == 2 && slice_eq(token, SLICE("(")));
        matched = fits ? matched + 1 : 0;
        if (matched == 3)
            return true;
        depth += depth_change(token);
    }
    return false;
}

bool people_find_place(struct slice text, struct people_place *out)
{
    struct reader r = { text, 0 };
    struct slice token;
    size_t last_end = 0;
    if (!find_list(&r))
        return false;
    for (int depth = 1; next_token(&r, &token);) {
        depth += depth_change(token);
        if (depth == 0) {
            *out = (struct people_place){ last_end, (size_t)(token.ptr - text.ptr) };
            return true;
        }
        last_end = r.at;
    }
    return false;
}

/* ---- adding ---------------------------------------------------------------------------------------------------- */

static bool name_ok(const char *s, size_t len)
{
    return len > 0 && len <= NAME_MAX_LEN && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") >= len;
}

bool people_groups_ok(const char *groups)
{
    for (unsigned n = 0; n < GROUPS_MAX; n++) {
        size_t len = strcspn(groups, ",");
        if (!name_ok(groups, len))
            return false;
        if (groups[len] == 0)
            return true;
        groups += len + 1;
    }
    return false;
}

/* Inside a libconfig string; an address may hold no quote and no backslash anyway. */
static bool plain(const char *s)
{
    for (; *s; s++)
        if (*s < 0x21 || *s > 0x7e || *s == '"' || *s == '\\')
            return false;
    return true;
}

static char *render_person(const char *name, const char *identity, const char *groups)
{
    char *out = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);
    if (f == NULL)
        return NULL;
    fprintf(f, "  { name = \"%s\"; identities = [ \"%s\" ]; groups = [", name, identity);
    for (const char *g = groups; *g;) {
        int n = (int)strcspn(g, ",");
        fprintf(f, "%s \"%.*s\"", g == groups ? "" : ",", n, g);
        g += n + (g[n] == ',');
    }
    fputs(" ]; }", f);
    if (fclose(f) == 0)
        return out;
    free(out);
    return NULL;
}

/* The old text with a comma behind the last entry (unless there is one, or no entry) and the new line before the parenthesis. */
static char *insert(struct slice old, const struct people_place *p, const char *line)
{
    size_t from = p->last_end ? p->last_end : p->close, line_start = p->close;
    bool comma = p->last_end && old.ptr[p->last_end - 1] != ',';
    while (line_start > from && (old.ptr[line_start - 1] == ' ' || old.ptr[line_start - 1] == '\t'))
        line_start--;
    bool own_line = line_start > 0 && old.ptr[line_start - 1] == '\n';   /* the parenthesis begins its line */
    size_t at = own_line ? line_start : p->close;
    char *out = NULL;
    if (asprintf(&out, "%.*s%s%.*s%s%s\n%.*s", (int)from, (const char *)old.ptr, comma ? "," : "", (int)(at - from), (const char *)old.ptr + from,
                 own_line ? "" : "\n", line, (int)(old.len - at), (const char *)old.ptr + at) < 0)
        return NULL;
    return out;
}

/* Does the new text say what the old one said, and one person more? Only the list is looked at: the rest is the same bytes. */
static bool reads_back(const char *new_text, const char *path, int count_before, const char *name, const char *identity)
{
    config_t c;
    char other[65];
    char *dir = folder_of(path);
    config_init(&c);
    config_set_include_dir(&c, dir ? dir : ".");
    free(dir);
    bool good = config_read_string(&c, new_text) == CONFIG_TRUE;
    const config_setting_t *people = good ? config_lookup(&c, "people") : NULL;
    good = people != NULL && config_setting_length(people) == count_before + 1
           && find_in(people, name, identity, other) == PERSON_LISTED;
    config_destroy(&c);
    return good;
}

static enum status count_people(const char *path, const char *name, const char *identity, int *out, struct err *err)
{
    config_t c;
    char other[65];
    enum status st = read_config(path, &c, err);
    if (st == OK) {
        const config_setting_t *people = config_lookup(&c, "people");
        if (find_in(people, name, identity, other) != PERSON_ABSENT)
            st = fail(err, EXISTS, "'%s' or '%s' is in '%s' already", name, identity, path);
        *out = people ? config_setting_length(people) : 0;
    }
    config_destroy(&c);
    return st;
}

/* Its mode stays; a symbolic link is followed, so that the link stays one. */
static enum status replace(const char *path, const char *text, struct err *err)
{
    struct stat sb;
    char *real = realpath(path, NULL);
    if (real == NULL || stat(real, &sb) != 0) {
        free(real);
        return fail(err, IO_FAILED, "cannot find '%s': %s", path, strerror(errno));
    }
    enum status st = file_write(real, slice_str(text), sb.st_mode & 0777, err);
    free(real);
    return st;
}

static enum status add_locked(const char *path, const char *name, const char *identity, const char *line, struct err *err)
{
    unsigned char *old = NULL;
    char *new = NULL;
    size_t len = 0;
    int count = 0;
    struct people_place place;
    enum status st = count_people(path, name, identity, &count, err);
    if (st == OK)
        st = file_read(path, PEOPLE_BYTES_MAX, false, &old, &len, err);
    if (st != OK)
        return st;
    bool whole = memchr(old, 0, len) == NULL && people_find_place(slice_of(old, len), &place);
    if (whole && (new = insert(slice_of(old, len), &place, line)) == NULL)
        st = fail(err, NO_MEMORY, "people file");
    else if (!whole || !reads_back(new, path, count, name, identity))
        st = fail(err, REFUSED, "cannot add a line to '%s' safely; add it to the list `people` yourself:\n%s", path, line);
    else
        st = replace(path, new, err);
    free(old);
    free(new);
    return st;
}

enum status people_file_add(const char *people_path, const char *name, const char *identity, const char *groups, struct err *err)
{
    if (!name_ok(name, strlen(name)) || !plain(identity) || !people_groups_ok(groups))
        return fail(err, BAD_INPUT, "a person's name or group has a character that is not a-z, 0-9, '.', '_' or '-'");
    char *line = render_person(name, identity, groups), *dir = folder_of(people_path);
    int lock = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;   /* two commands at once: one after the other */
    enum status st;
    if (line == NULL || dir == NULL)
        st = fail(err, NO_MEMORY, "people file");
    else if (lock < 0 || flock(lock, LOCK_EX) != 0)
        st = fail(err, IO_FAILED, "cannot lock the folder '%s': %s", dir, strerror(errno));
    else
        st = add_locked(people_path, name, identity, line, err);
    if (lock >= 0)
        close(lock);
    free(dir);
    free(line);
    return st;
}
