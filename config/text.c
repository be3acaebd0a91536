/* text: what a config says, written anew from the tree and the table, so that two files that say the same have one text, and one that was kept can be
 * loaded again and gives that text again.
 *
 * In the table's order; what stands at its default is left out; included files are taken in; paths are absolute. Of a file whose content decides (row
 * `content`) the digest of that content stands there, as the name under which it is kept beside the text. */
#include "config/loader.h"

#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <stdlib.h>

enum { CONTENT_MAX = 4 * 1024 * 1024 };

static void put_quoted(FILE *f, const char *text)
{
    fputc('"', f);
    for (; *text != 0; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(f, "\\x%02x", c);
        else
            fputc(c, f);
    }
    fputc('"', f);
}

/* The name of a file's content: "HEX.pem". What is kept of the policy has to hold that file, too. */
static bool put_content(struct load *l, FILE *f, const char *path)
{
    struct content_file *one = arena_zalloc(&l->out->memory, sizeof *one);
    if (one == NULL || (one->path = (char *)arena_copy(&l->out->memory, slice_str(path)).ptr) == NULL)
        return false;
    one->next = l->out->contents;
    l->out->contents = one;
    unsigned char *bytes = NULL, digest[32];
    size_t len = 0;
    char hex[HEX_LEN(32) + 1];
    if (file_read(path, CONTENT_MAX, false, &bytes, &len, NULL) != OK)
        return false;
    sha256_one(slice_of(bytes, len), digest);
    free(bytes);
    hex_encode(slice_of(digest, sizeof digest), hex);
    fprintf(f, "\"%s.pem\"", hex);
    return true;
}

static bool put_text(struct load *l, FILE *f, const struct setting *row, const config_setting_t *s, const char *text)
{
    if (l == NULL || row->path == NOT_A_PATH) {
        put_quoted(f, text);
        return true;
    }
    char *path = absolute_path(l, s, text);
    bool name = !row->content || l->plain, good = path != NULL && (name || put_content(l, f, path));
    if (good && name)
        put_quoted(f, path);
    free(path);
    return good;
}

static bool put_section(struct load *l, FILE *f, const struct section *section, const config_setting_t *group)
{
    fputc('{', f);
    for (const struct setting *row = section->settings; row->name != NULL; row++) {
        const config_setting_t *s = member_of(group, row->name);
        char *value = s ? setting_value(l, row, s) : NULL;
        if (s != NULL && value == NULL)
            return false;
        if (value != NULL && value[0] != 0)
            fprintf(f, " %s = %s;", row->name, value);
        free(value);
    }
    fputs(" }", f);
    return true;
}

/* Texts and groups, with what stands between them. */
static bool put_elements(struct load *l, FILE *f, const struct setting *row, const config_setting_t *s)
{
    bool list = row->shape == SHAPE_LIST, good = true;
    fputs(list ? "( " : "[ ", f);
    for (size_t i = 0; good && i < (size_t)config_setting_length(s); i++) {
        const config_setting_t *item = element_of(s, i);
        fputs(i > 0 ? ", " : "", f);
        good = list ? put_section(l, f, row->sub, item) : put_text(l, f, row, item, config_setting_get_string(item));
    }
    fputs(list ? " )" : " ]", f);
    return good;
}

static bool put_value(struct load *l, FILE *f, const struct setting *row, const config_setting_t *s)
{
    switch (row->shape) {
    case SHAPE_BOOL:
        fputs(config_setting_get_bool(s) ? "true" : "false", f);
        return true;
    case SHAPE_COUNT:
        fprintf(f, "%lld", (long long)config_setting_get_int64(s));
        return true;
    case SHAPE_SIZE:
    case SHAPE_TIME:
        put_quoted(f, config_setting_get_string(s));
        return true;
    case SHAPE_TEXT:
        return put_text(l, f, row, s, config_setting_get_string(s));
    case SHAPE_TEXTS:
    case SHAPE_LIST:
        return put_elements(l, f, row, s);
    case SHAPE_GROUP:
        return put_section(l, f, row->sub, s);
    }
    return false;
}

/* As the table writes a default; nothing at all is none, too. */
static bool is_default(const struct setting *row, const config_setting_t *s, const char *value)
{
    if (row->fallback == NULL || row->path != NOT_A_PATH)
        return false;
    if (config_setting_is_aggregate(s) && row->shape != SHAPE_GROUP && config_setting_length(s) == 0)
        return row->fallback[0] == 0 || strcmp(row->fallback, "[ ]") == 0 || strcmp(row->fallback, "( )") == 0;
    return row->shape == SHAPE_GROUP ? strcmp(value, "{ }") == 0 : strcmp(value, row->fallback) == 0;
}

char *setting_value(struct load *l, const struct setting *row, const config_setting_t *s)
{
    char *value = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&value, &len);
    bool good = f != NULL && put_value(l, f, row, s);
    if (f != NULL && fclose(f) != 0)
        good = false;
    if (!good) {
        free(value);
        return NULL;
    }
    if (is_default(row, s, value))
        value[0] = 0;
    return value;
}

/* A path that is left out is still one: seen from another folder its default would be another file. */
static char *default_path(struct load *l, const struct setting *row)
{
    char text[256], *path, *value = NULL;
    size_t n = strlen(row->fallback), len = 0;
    if (n < 2 || n > sizeof text)
        return strdup("");
    memcpy(text, row->fallback + 1, n - 2);
    text[n - 2] = 0;
    path = strcmp(text, ".") == 0 ? strdup(l->dir) : file_join(l->dir, text);
    FILE *f = path ? open_memstream(&value, &len) : NULL;
    if (f != NULL) {
        put_quoted(f, path);
        fclose(f);
    }
    free(path);
    return value;
}

/* One of the two texts. */
static char *top_level(struct load *l, bool machine)
{
    char *text = NULL;
    size_t len = 0;
    bool good = true;
    const config_setting_t *root = config_root_setting(&l->tree);
    FILE *f = open_memstream(&text, &len);
    for (const struct setting *row = settings_root.settings; f != NULL && row->name != NULL && good; row++) {
        const config_setting_t *s = member_of(root, row->name);
        if (row->machine != machine || (s == NULL && (row->path == NOT_A_PATH || row->fallback == NULL)))
            continue;
        char *value = s ? setting_value(l, row, s) : default_path(l, row);
        good = value != NULL;
        if (good && value[0] != 0)
            fprintf(f, "%s = %s;\n", row->name, value);
        free(value);
    }
    if (f == NULL || fclose(f) != 0 || !good) {
        free(text);
        return NULL;
    }
    return text;
}

/* What config_load_whole reads: the digest first, since it can't be had from this text (files whose content decides stand here by name). */
static char *all_plain(struct load *l)
{
    char *both = NULL;
    l->plain = true;
    char *policy = top_level(l, false), *machine = top_level(l, true);
    l->plain = false;
    if (policy != NULL && machine != NULL && asprintf(&both, WHOLE_BEGINS "%s\n%s%s", l->out->policy_digest, policy, machine) < 0)
        both = NULL;
    free(policy);
    free(machine);
    return both;
}

static char *keep_copy(struct load *l, char *text)
{
    char *copy = text ? (char *)arena_copy(&l->out->memory, slice_str(text)).ptr : NULL;
    free(text);
    return copy;
}

void config_as_text(struct load *l)
{
    unsigned char digest[32];
    struct config *c = l->out;
    c->policy = keep_copy(l, top_level(l, false));
    c->machine = keep_copy(l, top_level(l, true));
    if (c->policy != NULL) {
        sha256_one(slice_str(c->policy), digest);
        hex_encode(slice_of(digest, sizeof digest), c->policy_digest);
        c->whole = keep_copy(l, all_plain(l));
    }
    if (c->policy == NULL || c->machine == NULL || c->whole == NULL)
        report(l, NULL, NULL, "it could not be written out as text: no memory, or a file that it names changed while it was read");
}
