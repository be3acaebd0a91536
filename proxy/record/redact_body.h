/* redact_body: takes the values of secret fields out of a body that passes in pieces, with bounded memory and the same result for every split.
 *
 * Three grammars are read: application/x-www-form-urlencoded, JSON (also "+json", NDJSON, json-seq) and multipart/form-data. A secret value becomes the word "removed".
 * What breaks its grammar, or what two parsers might read differently (a bare LF before a boundary, a second name in a part), ends the reading: from there on nothing can be
 * vouched for. text/plain may hold such texts too, and says so in its first bytes (redact_text.c). Other types pass unchanged. */
#ifndef COUNTERSIGN_REDACT_BODY_H
#define COUNTERSIGN_REDACT_BODY_H

#include "proxy/record/redact.h"

enum body_kind {
    BODY_OTHER,                       /* nothing to find in it: kept as it is */
    BODY_FORM,
    BODY_JSON,
    BODY_MULTIPART,
    BODY_TEXT,                        /* text/plain: scripts send JSON so, and Engine.IO its packets */
    BODY_UNREADABLE,                  /* of such a type, but coded, in a foreign charset, with two types, without boundary … */
};

enum { JSON_DEPTH_MAX = 256, PART_HEAD_MAX = 1024, BOUNDARY_MAX = 70, TEXT_LEAD_MAX = 64 };

struct form_state {
    unsigned state, removed;          /* removed: values taken out so far, as in the others */
    size_t key_len;
    unsigned char key[REDACT_KEY_MAX];
};

struct json_state {
    unsigned state, unicode, digits, removed;
    unsigned depth, skip_depth;
    bool in_key, secret_next, skipping;
    uint64_t seen;                    /* bytes so far, for the byte order mark */
    size_t key_len;
    unsigned char key[REDACT_KEY_MAX];
    unsigned char is_object[JSON_DEPTH_MAX / 8];
};

struct multipart_state {
    unsigned state, line, tail, removed;
    bool closing, skipping, prev_cr, matching;
    size_t matched, delimiter_len, head_len, line_len;
    unsigned char delimiter[BOUNDARY_MAX + 2];
    unsigned char head[PART_HEAD_MAX];
};

/* A text that says by its first bytes what it is; zeroed at its beginning but for the first two. */
struct text_state {
    bool packets;                     /* several may follow each other, 0x1e between them or none (Engine.IO 4 and 3) */
    bool no_forms;                    /* 'password=…' is a line of some file */
    enum { TEXT_LEAD, TEXT_FORM, TEXT_JSON, TEXT_PLAIN } what;
    unsigned removed;                 /* values taken out, of all texts so far */
    size_t lead_len;
    unsigned char lead[TEXT_LEAD_MAX];
    union {
        struct form_state form;
        struct json_state json;
    } s;
};

struct body_redactor {
    enum body_kind kind;
    const struct secret_names *names;
    union {
        struct form_state form;
        struct json_state json;
        struct multipart_state multipart;
        struct text_state text;
    } s;
};

/* What kind of body a head announces. boundary_out (BOUNDARY_MAX bytes) and its length are set for BODY_MULTIPART. */
enum body_kind body_kind_of(const struct fields *fields, unsigned char *boundary_out, size_t *boundary_len_out);
void body_redactor_init(struct body_redactor *r, enum body_kind kind, const struct secret_names *names, struct slice boundary);
/* The next piece, of any length; what may be kept goes to out: at most 3 * data.len + BODY_REDACT_SLACK bytes. BAD_INPUT: the grammar is
 * broken; *taken_out says how many bytes of data were dealt with before that. The redactor must not be used afterwards. */
enum { BODY_REDACT_SLACK = 96 };
MUST_CHECK enum status body_redactor_feed(struct body_redactor *r, struct slice data, const struct redact_out *out, size_t *taken_out);

/* Another text begins. Feeding it never fails: what has no grammar is kept as it came. */
void text_begin(struct text_state *s);
void text_feed(struct text_state *s, const struct secret_names *names, struct slice data, const struct redact_out *out);

/* How many values were taken out so far. */
unsigned body_redactor_removed(const struct body_redactor *r);

/* The three grammars. */
enum status form_feed(struct form_state *s, const struct secret_names *names, struct slice data, const struct redact_out *out);
enum status json_feed(struct json_state *s, const struct secret_names *names, struct slice data, const struct redact_out *out, size_t *taken);
enum status multipart_feed(struct multipart_state *s, const struct secret_names *names, struct slice data, const struct redact_out *out,
                           size_t *taken);

#endif
