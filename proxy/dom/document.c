#include "proxy/dom/document.h"

#include "proxy/http/readings_internal.h"
#include "proxy/http/syntax.h"

/* ---- the request ---- */

static bool one_of(struct slice s, const struct slice *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_ieq(s, table[i]))
            return true;
    return false;
}
#define ONE_OF(s, table) one_of((s), (table), sizeof(table) / sizeof *(table))

bool document_asked(const struct message *request)
{
    static const struct slice dests[] = { SLICE_INIT("document"), SLICE_INIT("iframe"), SLICE_INIT("frame") };
    static const struct slice methods[] = { SLICE_INIT("GET"), SLICE_INIT("POST") };
    const struct fields *f = &request->fields;
    if (!ONE_OF(fields_get(f, SLICE("sec-fetch-dest")), dests) || !slice_eq(fields_get(f, SLICE("sec-fetch-mode")), SLICE("navigate")))
        return false;
    return ONE_OF(request->method, methods) && fields_count(f, SLICE("range")) == 0 && fields_count(f, SLICE("upgrade")) == 0;
}

/* ---- the response ---- */

/* Encodings in which ASCII bytes mean ASCII, by the names of the Encoding standard (s4.2). ISO-2022-JP is none: after an escape its bytes mean something else. */
static bool keeps_ascii(struct slice charset)
{
    static const struct slice names[] = {
        SLICE_INIT("utf-8"), SLICE_INIT("utf8"), SLICE_INIT("us-ascii"), SLICE_INIT("ascii"), SLICE_INIT("latin1"), SLICE_INIT("l1"), SLICE_INIT("macintosh"),
        SLICE_INIT("koi8-r"), SLICE_INIT("koi8-u"), SLICE_INIT("gbk"), SLICE_INIT("gb2312"), SLICE_INIT("gb18030"), SLICE_INIT("big5"), SLICE_INIT("big5-hkscs"),
        SLICE_INIT("euc-jp"), SLICE_INIT("euc-kr"), SLICE_INIT("shift_jis"), SLICE_INIT("shift-jis"), SLICE_INIT("sjis"), SLICE_INIT("tis-620"),
    };
    static const struct slice families[] = { SLICE_INIT("iso-8859-"), SLICE_INIT("windows-125"), SLICE_INIT("windows-874") };
    if (ONE_OF(charset, names))
        return true;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (charset.len >= families[i].len && charset.len <= families[i].len + 2 && slice_ieq(slice_of(charset.ptr, families[i].len), families[i]))
            return true;
    return false;
}

enum charset { CHARSET_GOOD, CHARSET_OTHER, CHARSET_UNCLEAR };

/* The charset parameters of a Content-Type behind its type; without one the document says it itself, in ASCII. */
static enum charset charset_of(struct slice rest)
{
    struct slice name, value;
    bool escaped;
    enum charset found = CHARSET_GOOD;
    enum status st;
    unsigned count = 0;
    while ((st = parameter_next(&rest, &name, &value, &escaped)) == OK)
        if (slice_ieq(name, SLICE("charset"))) {
            count++;
            found = escaped ? CHARSET_UNCLEAR : keeps_ascii(value) ? CHARSET_GOOD : CHARSET_OTHER;
        }
    return st != NOT_FOUND || count > 1 ? CHARSET_UNCLEAR : found;
}

static bool type_is(struct slice content_type, const char *type)
{
    return slice_ieq(slice_trim(slice_of(content_type.ptr, slice_find(content_type, ';'))), slice_str(type));
}

static bool is_html(struct slice content_type) { return type_is(content_type, "text/html"); }
static bool is_xhtml(struct slice content_type) { return type_is(content_type, "application/xhtml+xml"); }

/* 206 and 304 are no whole documents, of a redirect nothing is shown. */
static bool is_shown(unsigned status)
{
    return (status >= 200 && status < 300 && status != 206 && status != 204 && status != 205) || status >= 400;
}

static bool is_download(const struct fields *f)
{
    struct slice v = fields_get(f, SLICE("content-disposition"));
    struct slice type = slice_trim(slice_of(v.ptr, slice_find(v, ';')));
    return v.ptr != NULL && !slice_ieq(type, SLICE("inline"));
}

static const char *coding_refuses(const struct fields *f, enum document_coding *coding)
{
    struct slice v = fields_get(f, SLICE("content-encoding"));
    *coding = DOCUMENT_PLAIN;
    if (fields_count(f, SLICE("content-encoding")) > 1)
        return "it has more than one content coding";
    if (v.ptr == NULL || v.len == 0 || slice_ieq(v, SLICE("identity")))
        return NULL;
    *coding = DOCUMENT_GZIP;
    return slice_ieq(v, SLICE("gzip")) || slice_ieq(v, SLICE("x-gzip")) ? NULL : "it has a content coding that the gateway does not take off; the tool was asked for none";
}

static const char *head_refuses(const struct message *m, enum document_coding *coding)
{
    const struct fields *f = &m->fields;
    struct slice type = fields_get(f, SLICE("content-type"));
    enum charset charset = charset_of(slice_from(type, slice_find(type, ';')));
    if (fields_count(f, SLICE("content-range")) > 0)
        return "it is a part of a document";
    if (fields_has_token(f, SLICE("cache-control"), SLICE("no-transform")))
        return "the tool says that nobody may change it (no-transform)";
    if (charset == CHARSET_UNCLEAR)
        return "its Content-Type can be read in more than one way";
    if (charset == CHARSET_OTHER)
        return "its charset is not known to hold ASCII as it is";
    return coding_refuses(f, coding);
}

enum document_verdict document_judge(const struct message *response, const struct csp_place *place, enum document_coding *coding, struct csp_pass *pass, const char **why)
{
    const struct fields *f = &response->fields;
    struct slice type = fields_get(f, SLICE("content-type"));
    if (!is_shown(response->status) || response->framing == BODY_NONE || is_download(f) || (type.ptr != NULL && !is_html(type) && !is_xhtml(type)))
        return DOCUMENT_OTHER;
    if (type.ptr == NULL)
        *why = "it has no Content-Type, so only the browser knows what it is";
    else if (fields_count(f, SLICE("content-type")) > 1)
        *why = "it has two types";
    else
        *why = is_xhtml(type) ? "it is XHTML" : head_refuses(response, coding);
    if (*why == NULL)
        *why = csp_refuses(f, place, pass);
    return *why == NULL ? DOCUMENT_GOES : DOCUMENT_REFUSED;
}

struct slice document_tag(const struct csp_place *place, const struct csp_pass *pass, uint64_t page, struct arena *arena)
{
    bool nonce = pass->nonce.len > 0;
    return arena_printf(arena, "<script src=\"%.*s\"%s%.*s%s data-countersign=\"%llu\"></script>", SLICE_ARG(place->script), nonce ? " nonce=\"" : "", SLICE_ARG(pass->nonce),
                        nonce ? "\"" : "", (unsigned long long)page);
}

/* Of content that is not what the tool sent: its length, strong validators (RFC 9110 s8.8.3; all of a tool's ETags are, if they are taken for it), digests (RFC 9530, 3230, 1864), and
 * the offer of parts of it. */
bool document_drops(struct slice name, enum document_coding coding)
{
    static const struct slice table[] = { SLICE_INIT("content-length"), SLICE_INIT("etag"), SLICE_INIT("content-md5"), SLICE_INIT("content-digest"),
                                          SLICE_INIT("repr-digest"), SLICE_INIT("digest"), SLICE_INIT("accept-ranges") };
    return ONE_OF(name, table) || (coding != DOCUMENT_PLAIN && slice_eq(name, SLICE("content-encoding")));
}

enum status document_fields(const struct fields *in, enum document_coding coding, struct arena *arena, struct fields *out)
{
    struct fields kept = { 0 };
    for (size_t i = 0; i < in->count; i++) {
        enum status st = document_drops(in->v[i].name, coding) ? OK : fields_add(&kept, arena, in->count, in->v[i].name, in->v[i].value);
        if (st != OK)
            return st;
    }
    *out = kept;
    return OK;
}
