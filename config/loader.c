#include "config/loader.h"

#include "config/index.h"
#include "proxy/base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/stat.h>

enum { CONFIG_MEMORY_MAX = 512 * 1024 * 1024 };

config_setting_t *member_of(const config_setting_t *group, const char *name)
{
    if (group == NULL || !config_setting_is_group(group))
        return NULL;
    return config_setting_get_member((config_setting_t *)group, name);   /* read only; 1.5 takes no const */
}

config_setting_t *element_of(const config_setting_t *list, size_t i)
{
    return list ? config_setting_get_elem((config_setting_t *)list, (unsigned)i) : NULL;
}

static void *zalloc(struct load *l, size_t count, size_t size)
{
    void *p = count < CONFIG_MEMORY_MAX / size ? arena_zalloc(&l->out->memory, count * size) : NULL;
    if (p == NULL)
        l->no_memory = true;
    return p;
}

static char *copy_text(struct load *l, const char *text)
{
    char *p = (char *)arena_copy(&l->out->memory, slice_str(text)).ptr;
    if (p == NULL)
        l->no_memory = true;
    return p;
}

/* ---- single values -------------------------------------------------------------------------------------------- */

static void wrong_type(struct load *l, const config_setting_t *s, const struct setting *row)
{
    char type[160];
    setting_type_text(row, type, sizeof type);
    report(l, s, NULL, "has the wrong type; expected %s", type);
}

static void load_bool(struct load *l, const struct setting *row, const config_setting_t *s, void *base)
{
    if (config_setting_type(s) != CONFIG_TYPE_BOOL)
        wrong_type(l, s, row);
    else
        *(bool *)((char *)base + row->at) = config_setting_get_bool(s) != 0;
}

/* Every width a number is kept in. */
static void store_number(const struct setting *row, void *base, int64_t n)
{
    char *at = (char *)base + row->at;
    if (row->size == sizeof(uint16_t)) {
        uint16_t v = (uint16_t)n;
        memcpy(at, &v, sizeof v);
    } else if (row->size == sizeof(uint32_t)) {
        uint32_t v = (uint32_t)n;
        memcpy(at, &v, sizeof v);
    } else {
        memcpy(at, &n, sizeof n);
    }
}

static void load_number(struct load *l, const struct setting *row, const config_setting_t *s, void *base)
{
    int64_t n = 0;
    bool count = row->shape == SHAPE_COUNT;
    int type = config_setting_type(s);
    if (count ? type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64 : type != CONFIG_TYPE_STRING) {
        wrong_type(l, s, row);
        return;
    }
    const char *text = count ? NULL : config_setting_get_string(s);
    if (count)
        n = config_setting_get_int64(s);
    else if (!(row->shape == SHAPE_TIME ? duration_parse : size_parse)(text, &n)) {
        report(l, s, NULL, "\"%.40s\" cannot be read; expected one number and a unit: %s", text,
               row->shape == SHAPE_TIME ? "ms, s, m, h or d, such as \"15m\"" : "B, KiB, MiB or GiB, such as \"64KiB\"");
        return;
    }
    if (n < row->min || n > row->max) {
        char type_text[160];
        setting_type_text(row, type_text, sizeof type_text);
        report(l, s, NULL, "is out of range; expected %s", type_text);
        return;
    }
    store_number(row, base, n);
}

/* Folder of the file this setting stands in. Included files are named relative to the main one's folder. */
static char *folder_of(struct load *l, const config_setting_t *s)
{
    const char *source = config_setting_source_file(s), *slash = source ? strrchr(source, '/') : NULL;
    if (slash == NULL)
        return strdup(l->dir);
    char *part = strndup(source, slash == source ? 1 : (size_t)(slash - source));
    char *whole = part ? file_join(l->dir, part) : NULL;
    free(part);
    return whole;
}

/* A file that we make: can it be made there, or written to? */
static void check_made(struct load *l, const config_setting_t *s, const char *path, bool there)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
    if (folder == NULL)
        l->no_memory = true;
    else if (there ? access(path, W_OK) != 0 : access(folder, W_OK | X_OK) != 0)
        report(l, s, NULL, "'%s' cannot be written (%s); expected a file in a folder that this user can write to", path, strerror(errno));
    free(folder);
}

static void check_path(struct load *l, const struct setting *row, const config_setting_t *s, const char *path)
{
    struct stat sb;
    bool there = stat(path, &sb) == 0;
    int why = errno;
    if (row->path == PATH_USED)
        return;
    if (row->path == PATH_MADE && !(there && S_ISDIR(sb.st_mode))) {   /* a pipe will do as well */
        check_made(l, s, path, there);
        return;
    }
    if (!there && row->path == PATH_LATER)
        report_warning(l, s->parent ? s : NULL, s->parent ? NULL : row->name, "there is no file '%s' yet", path);
    else if (!there)
        report(l, s, NULL, "'%s' cannot be found (%s); expected %s", path, strerror(why), row->path == PATH_FOLDER ? "a folder" : "a readable file");
    else if (row->path == PATH_FOLDER ? !S_ISDIR(sb.st_mode) : !S_ISREG(sb.st_mode))
        report(l, s, NULL, "'%s' is not %s", path, row->path == PATH_FOLDER ? "a folder" : "a regular file");
    else if (access(path, R_OK) != 0)
        report(l, s, NULL, "'%s' cannot be read (%s); expected a file that this user can read", path, strerror(errno));
}

char *absolute_path(struct load *l, const config_setting_t *s, const char *text)
{
    char *folder = folder_of(l, s);
    char *path = folder == NULL ? NULL : strcmp(text, ".") == 0 ? strdup(folder) : file_join(folder, text);   /* no "/./" in what people read */
    free(folder);
    return path;
}

static char *resolve_path(struct load *l, const struct setting *row, const config_setting_t *s, const char *text)
{
    char *path = absolute_path(l, s, text), *copy = path ? copy_text(l, path) : NULL;
    if (copy == NULL)
        l->no_memory = true;
    else
        check_path(l, row, s, copy);
    free(path);
    return copy;
}

/* One text, checked. NULL when it was reported, or was stored by the row's own `put`. */
static char *load_text(struct load *l, const struct setting *row, const config_setting_t *s, void *base)
{
    const char *text = config_setting_type(s) == CONFIG_TYPE_STRING ? config_setting_get_string(s) : NULL;
    if (text == NULL) {
        report(l, s, NULL, "has the wrong type; expected text in quotes: %s", row->form->expected);
        return NULL;
    }
    if (!row->form->ok(text)) {
        const char *why = row->form->why ? row->form->why(text) : NULL;
        report(l, s, NULL, "\"%.200s\" %s; expected %s", text, why ? why : "is not of the right form", row->form->expected);
        return NULL;
    }
    if (row->path != NOT_A_PATH)
        return resolve_path(l, row, s, text);
    if (row->put == NULL)
        return copy_text(l, text);
    if (!row->put(&l->out->memory, base, text))
        l->no_memory = true;
    return NULL;
}

/* ---- groups and lists ----------------------------------------------------------------------------------------- */

static void load_section(struct load *l, const struct section *section, const config_setting_t *group, void *base);

static bool entries_fit(struct load *l, const struct setting *row, const config_setting_t *s)
{
    int64_t n = config_setting_length(s);
    if (n >= row->min && n <= row->max)
        return true;
    report(l, s, NULL, "has %d entries; expected %d to %d", (int)n, (int)row->min, (int)row->max);
    return false;
}

static void load_texts(struct load *l, const struct setting *row, const config_setting_t *s, void *base)
{
    if (!config_setting_is_array(s) && !config_setting_is_list(s)) {
        wrong_type(l, s, row);
        return;
    }
    if (!entries_fit(l, row, s))
        return;
    size_t n = (size_t)config_setting_length(s), kept = 0;
    char **texts = row->put || n == 0 ? NULL : zalloc(l, n, sizeof *texts);
    for (size_t i = 0; i < n && !l->no_memory; i++) {
        char *text = load_text(l, row, element_of(s, i), base);
        if (text != NULL)
            texts[kept++] = text;
    }
    if (row->put != NULL)
        return;
    memcpy((char *)base + row->at, &texts, sizeof texts);
    memcpy((char *)base + row->count_at, &kept, sizeof kept);
}

/* Every element gets its struct, broken ones too, so that element i of the file stays element i of the array for the checks. */
static void load_list(struct load *l, const struct setting *row, const config_setting_t *s, void *base)
{
    if (!config_setting_is_list(s)) {
        bool empty_array = config_setting_is_array(s) && config_setting_length(s) == 0 && row->min == 0;
        if (!empty_array)
            wrong_type(l, s, row);
        return;
    }
    if (!entries_fit(l, row, s))
        return;
    size_t n = (size_t)config_setting_length(s), size = row->sub->size;
    char *items = n ? zalloc(l, n, size) : NULL;
    if (l->no_memory)
        return;
    memcpy((char *)base + row->at, &items, sizeof items);
    memcpy((char *)base + row->count_at, &n, sizeof n);
    for (size_t i = 0; i < n && !l->no_memory; i++) {
        const config_setting_t *item = element_of(s, i);
        if (config_setting_is_group(item))
            load_section(l, row->sub, item, items + i * size);
        else
            report(l, item, NULL, "is not a group; expected { ... } with the settings of \"%s\"", row->sub->title);
    }
}

static void load_value(struct load *l, const struct setting *row, const config_setting_t *s, void *base)
{
    char *text;
    switch (row->shape) {
    case SHAPE_BOOL:
        load_bool(l, row, s, base);
        break;
    case SHAPE_COUNT:
    case SHAPE_SIZE:
    case SHAPE_TIME:
        load_number(l, row, s, base);
        break;
    case SHAPE_TEXT:
        text = load_text(l, row, s, base);
        if (text != NULL)
            memcpy((char *)base + row->at, &text, sizeof text);
        break;
    case SHAPE_TEXTS:
        load_texts(l, row, s, base);
        break;
    case SHAPE_GROUP:
        if (config_setting_is_group(s))
            load_section(l, row->sub, s, (char *)base + row->at);
        else
            wrong_type(l, s, row);
        break;
    case SHAPE_LIST:
        load_list(l, row, s, base);
        break;
    }
}

/* The default is written as the file would write it, and takes the same way. */
static void load_fallback(struct load *l, const struct setting *row, void *base)
{
    char text[1024];
    config_t tree;
    config_init(&tree);
    snprintf(text, sizeof text, "%s = %s;", row->name, row->fallback);
    if (config_read_string(&tree, text) == CONFIG_TRUE)
        load_value(l, row, element_of(config_root_setting(&tree), 0), base);
    else
        report(l, NULL, row->name, "its default cannot be read: that is a fault in Countersign");
    config_destroy(&tree);
}

static void load_absent(struct load *l, const struct setting *row, const config_setting_t *group, void *base)
{
    char type[160];
    if (row->fallback == NULL) {
        setting_type_text(row, type, sizeof type);
        report(l, group, row->name, "is missing; expected %s", type);
    } else if (row->shape == SHAPE_GROUP) {
        load_section(l, row->sub, NULL, (char *)base + row->at);
    } else if (row->fallback[0] != 0 && strcmp(row->fallback, "[ ]") != 0 && strcmp(row->fallback, "( )") != 0) {
        load_fallback(l, row, base);
    }
}

static void report_unknown(struct load *l, const struct section *section, const config_setting_t *s)
{
    char known[800];
    size_t n = 0;
    for (const struct setting *row = section->settings; row->name != NULL && n < sizeof known - 64; row++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", row->name);
    report(l, s, NULL, "there is no such setting; expected one of: %s", known);
}

static void load_section(struct load *l, const struct section *section, const config_setting_t *group, void *base)
{
    size_t members = group ? (size_t)config_setting_length(group) : 0;
    for (size_t i = 0; i < members; i++) {
        const config_setting_t *s = element_of(group, i);
        const struct setting *row = section->settings;
        while (row->name != NULL && strcmp(row->name, config_setting_name(s)) != 0)
            row++;
        if (row->name == NULL)
            report_unknown(l, section, s);
    }
    for (const struct setting *row = section->settings; row->name != NULL && !l->no_memory; row++) {
        const config_setting_t *s = member_of(group, row->name);
        if (s != NULL)
            load_value(l, row, s, base);
        else
            load_absent(l, row, group, base);
    }
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

/* Who can write the config can give themselves every right, so only its owner may. */
static void check_owner(struct load *l, const char *shown, const char *path)
{
    struct stat sb;
    if (stat(path, &sb) != 0)
        return;
    if (sb.st_uid != geteuid() && sb.st_uid != 0)
        report_line(l, shown, 1, "the file belongs to another user; expected the user who runs this, or root");
    if (sb.st_mode & S_IWOTH)
        report_line(l, shown, 1, "everybody can write this file; run: chmod go-w '%s'", path);
}

static void scan_included(struct load *l, const char *source)
{
    char buf[1100];
    struct err err;
    unsigned char *text = NULL;
    size_t len;
    char *path = file_join(l->dir, source);
    if (path != NULL && file_read(path, CONFIG_FILE_MAX, false, &text, &len, &err) == OK) {
        const char *shown = shown_file(l, source, buf, sizeof buf);
        check_owner(l, shown, path);
        scan_text(l, shown, text, len);
    }
    free(text);
    free(path);
}

/* Each included file once: settings of one file stand together, so comparing with those seen is cheap. */
static void scan_sources(struct load *l, const config_setting_t *s, const char **seen, size_t *seen_count)
{
    const char *source = config_setting_source_file(s);
    bool known = source == NULL;
    for (size_t i = *seen_count; i > 0 && !known; i--)
        known = strcmp(seen[i - 1], source) == 0;
    if (!known && *seen_count < 64) {
        seen[(*seen_count)++] = source;
        scan_included(l, source);
    }
    for (int i = 0; config_setting_is_aggregate(s) && i < config_setting_length(s); i++)
        scan_sources(l, element_of(s, (size_t)i), seen, seen_count);
}

static bool parse_text(struct load *l, const char *text)
{
    if (config_read_string(&l->tree, text) == CONFIG_TRUE)
        return true;
    char buf[1100];
    const char *what = config_error_text(&l->tree), *file = shown_file(l, config_error_file(&l->tree), buf, sizeof buf);
    report_line(l, file, (unsigned)config_error_line(&l->tree), "%s; expected `name = value;` (often a quote, a bracket or a ';' is missing just before)",
                what ? what : "cannot be read");
    return false;
}

static bool names_origins(const struct tool *t)
{
    bool any = t->cross_origin_count > 0;
    for (size_t i = 0; i < t->action_count && !any; i++)
        any = t->actions[i].cross_origin_count > 0;
    return any;
}

static void load_tree(struct load *l)
{
    struct config *c = l->out;
    const char *seen[64];
    size_t seen_count = 0;
    const config_setting_t *root = config_root_setting(&l->tree);
    scan_sources(l, root, seen, &seen_count);
    load_section(l, &settings_root, root, c);
    if (!l->no_memory)
        check_all(l);
    for (size_t i = 0; i < c->tool_count && l->errors == 0 && !l->no_memory; i++) {
        c->tools[i].names_origins = names_origins(&c->tools[i]);
        if (c->tools[i].action_count > 0 && (c->tools[i].index = action_index_new(&c->memory, c->tools[i].actions, c->tools[i].action_count)) == NULL)
            l->no_memory = true;
    }
    if (l->as_text && l->errors == 0 && !l->no_memory)
        config_as_text(l);
}

/* The folder, absolute, and the file's path in it. A symbolic link keeps its own place: paths are seen from where it is, not from what it names. */
static bool find_file(struct load *l)
{
    const char *slash = strrchr(l->path, '/');
    char *folder = slash ? strndup(l->path, slash == l->path ? 1 : (size_t)(slash - l->path)) : strdup(".");
    l->dir = folder ? realpath(folder, NULL) : NULL;
    const char *name = slash ? slash + 1 : l->path;
    char *path = l->dir ? file_join(strcmp(l->dir, "/") == 0 ? "" : l->dir, name) : NULL;
    if (path != NULL)
        l->out->path = copy_text(l, path);
    else
        report(l, NULL, NULL, "cannot open '%s': %s; expected the config file", l->path, strerror(errno));
    free(folder);
    free(path);
    return l->out->path != NULL;
}

/* What was kept of a policy says nothing of the machine: that comes from the file that it is compared with. */
static bool add_tail(struct load *l, unsigned char **text, size_t *len)
{
    size_t more = l->tail ? strlen(l->tail) : 0;
    unsigned char *whole = more > 0 ? realloc(*text, *len + more + 1) : *text;
    if (whole == NULL)
        return false;
    if (more > 0)
        memcpy(whole + *len, l->tail, more + 1);
    *text = whole;
    *len += more;
    return true;
}

static enum status read_file(struct load *l, unsigned char **text, size_t *len, struct err *err)
{
    if (l->whole == NULL)
        return file_read(l->out->path, CONFIG_FILE_MAX, false, text, len, err);
    *len = strlen(l->whole);
    *text = (unsigned char *)strdup(l->whole);
    return *text ? OK : fail(err, NO_MEMORY, "config");
}

static enum status load_file(struct load *l)
{
    struct err err;
    unsigned char *text = NULL;
    size_t len = 0;
    if (find_file(l) && read_file(l, &text, &len, &err) != OK) {
        report(l, NULL, NULL, "%s; expected the config file", err.text);
    } else if (text != NULL && !add_tail(l, &text, &len)) {
        l->no_memory = true;
    } else if (text != NULL) {
        if (l->tail == NULL && l->whole == NULL)   /* a kept policy has its digest, and belongs to the gateway's user when root looks at it */
            check_owner(l, l->path, l->out->path);
        scan_text(l, l->path, text, len);
        config_set_include_dir(&l->tree, l->dir);
        if (memchr(text, 0, len) == NULL && parse_text(l, (const char *)text))
            load_tree(l);
    }
    free(text);
    if (l->no_memory)
        return NO_MEMORY;
    return l->errors ? BAD_CONFIG : OK;
}

static bool take_digest(struct load *l)
{
    size_t n = strlen(WHOLE_BEGINS), hex = sizeof l->out->policy_digest - 1;
    if (strncmp(l->whole, WHOLE_BEGINS, n) != 0 || strspn(l->whole + n, "0123456789abcdef") != hex || l->whole[n + hex] != '\n')
        return false;
    memcpy(l->out->policy_digest, l->whole + n, hex);
    return true;
}

/* digest: what the text of the policy must come to; NULL: whatever it is. */
static enum status load_with(struct load l, const char *digest, struct config **out)
{
    l.out = calloc(1, sizeof *l.out);
    if (l.out == NULL)
        return NO_MEMORY;
    arena_init(&l.out->memory, CONFIG_MEMORY_MAX);
    l.out->refs = 1;
    config_init(&l.tree);
    enum status st = load_file(&l);
    if (st == OK && digest != NULL && strcmp(l.out->policy_digest, digest) != 0) {
        report(&l, NULL, NULL, "this copy of the policy was altered, or a file that belongs to it: it is no longer %s", digest);
        st = BAD_CONFIG;
    }
    if (st == OK && l.whole != NULL && !take_digest(&l)) {
        report(&l, NULL, NULL, "the config that was handed over does not begin with its policy's digest");
        st = BAD_CONFIG;
    }
    config_destroy(&l.tree);
    free(l.dir);
    if (st == OK)
        *out = l.out;
    else
        config_unref(l.out);
    return st;
}

enum status config_load(const char *path, struct config **out, struct problems *problems)
{
    *problems = (struct problems){ 0 };
    return load_with((struct load){ .path = path, .problems = problems }, NULL, out);
}

enum status config_load_text(const char *path, struct config **out, struct problems *problems)
{
    *problems = (struct problems){ 0 };
    return load_with((struct load){ .path = path, .problems = problems, .as_text = true }, NULL, out);
}

enum status config_load_whole(const char *path, const char *whole, struct config **out, struct problems *problems)
{
    *problems = (struct problems){ 0 };
    return load_with((struct load){ .path = path, .problems = problems, .whole = whole }, NULL, out);
}

enum status load_kept_file(const char *path, const char *digest, const char *machine, struct config **out, struct problems *problems)
{
    *problems = (struct problems){ 0 };
    return load_with((struct load){ .path = path, .problems = problems, .as_text = true, .tail = machine }, digest, out);
}
