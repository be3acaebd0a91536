#include "proxy/dom/script.h"

#include "proxy/base/codec.h"
#include "proxy/base/file.h"
#include "proxy/dom/document.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { RECORDER_MAX = 4 * 1024 * 1024, DIGEST_SHOWN = 12 };

/* CMakeLists.txt says where the file lies, and that this one depends on it. */
__asm__(".section .rodata\n.global cs_dom_glue\n.global cs_dom_glue_end\ncs_dom_glue:\n.incbin \"proxy/dom/web/glue.js\"\ncs_dom_glue_end:\n.byte 0\n.previous\n");
extern const unsigned char cs_dom_glue[], cs_dom_glue_end[];

static json_t *texts(char *const *v, size_t count)
{
    json_t *out = json_array();
    for (size_t i = 0; i < count; i++)
        if (out == NULL || json_array_append_new(out, json_string(v[i])) != 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

/* What the glue has to know, as JSON; the caller frees it. */
static char *settings(const struct config *c, const struct tool *t)
{
    json_t *o = json_pack("{s:s, s:I, s:o, s:o}", "events", DOM_EVENTS, "most", (json_int_t)c->limits.dom_upload, "show", texts(t->dom.show, t->dom.show_count), "hide",
                          texts(t->dom.hide, t->dom.hide_count));
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(o);
    return text;
}

/* The recorder finds a module's surroundings of its own, so that it leaves no name behind in the page and minds no loader that the page brings. */
static enum status put_together(struct slice recorder, const char *how, struct arena *arena, struct slice *out)
{
    const struct slice parts[] = {
        SLICE("(function () {\nvar module = { exports: {} };\n(function (module, exports, define) {\n"), recorder,
        SLICE("\n}).call(globalThis, module, module.exports);\nvar recorder = module.exports, settings = "), slice_str(how), SLICE(";\n"),
        slice_of(cs_dom_glue, (size_t)(cs_dom_glue_end - cs_dom_glue)), SLICE("})();\n"),
    };
    size_t len = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        len += parts[i].len;
    unsigned char *text = arena_alloc(arena, len), *at = text;
    if (text == NULL)
        return NO_MEMORY;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        memcpy(at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    *out = slice_of(text, len);
    return OK;
}

static void name(struct dom_script *s)
{
    unsigned char digest[32];
    char hex[2 * DIGEST_SHOWN + 1];
    sha256_one(s->text, digest);
    hex_encode(slice_of(digest, DIGEST_SHOWN), hex);
    snprintf(s->path, sizeof s->path, "%s%s.js", DOM_PATH, hex);
}

enum status dom_script_make(const struct config *c, const struct tool *t, struct arena *arena, struct dom_script *out, struct err *err)
{
    unsigned char *recorder = NULL;
    size_t len = 0;
    char *path = file_join(c->dom_recorder, "record.js"), *how = settings(c, t);
    enum status st = path != NULL && how != NULL ? file_read(path, RECORDER_MAX, false, &recorder, &len, err) : fail(err, NO_MEMORY, "DOM recorder");
    struct dom_script made = { 0 };
    if (st != OK && st != NO_MEMORY)
        st = BAD_CONFIG;
    if (st == OK && len == 0)
        st = fail(err, BAD_CONFIG, "'%s' is empty; expected the script of the DOM recorder", path);
    if (st == OK && (st = put_together(slice_of(recorder, len), how, arena, &made.text)) != OK)
        (void)fail(err, st, "DOM recorder");
    if (st == OK) {
        name(&made);
        *out = made;
    }
    free(recorder);
    free(path);
    free(how);
    return st;
}
