#include "proxy/commands/nodes.h"

#include "authz/chain.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"
#include "proxy/commands/words.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_LEN_MAX = 64, KEY_TEXT_MAX = 4096 };

static bool is_there(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    bool yes = path != NULL && access(path, R_OK) == 0;
    free(path);
    return yes;
}

/* ---- names ---- */

/* "NODE=DIR", or DIR, whose last part is the name. */
static enum status split(struct node *n, const char *text, struct err *err)
{
    const char *equals = strchr(text, '='), *slash = strchr(text, '/');
    if (equals != NULL && equals > text && (slash == NULL || equals < slash)) {
        n->name = strndup(text, (size_t)(equals - text));
        n->folder = strdup(equals + 1);
    } else {
        n->folder = realpath(text, NULL);
        if (n->folder == NULL)
            return fail(err, NOT_FOUND, "there is no folder '%s'", text);
        const char *last = strrchr(n->folder, '/');
        n->name = strdup(last != NULL && last[1] != 0 ? last + 1 : n->folder);
    }
    if (n->name == NULL || n->folder == NULL)
        return fail(err, NO_MEMORY, "folder");
    if (strlen(n->name) > NAME_LEN_MAX)
        return fail(err, BAD_INPUT, "a node's name has %d characters at most. Next: --recordings NAME=%s", NAME_LEN_MAX, n->folder);
    n->kept = is_there(n->folder, "recording.tar") || is_there(n->folder, "log.json");
    if (!n->kept && !is_there(n->folder, "authz.db"))
        return fail(err, BAD_INPUT, "'%s' is neither a session that `verify --save` kept (recording.tar, log.json) nor a state folder (authz.db, recordings/)", n->folder);
    return OK;
}

static enum status names_differ(const struct nodes *n, struct err *err)
{
    for (size_t i = 0; i < n->count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(n->v[i].name, n->v[k].name) == 0)
                return fail(err, BAD_INPUT, "two nodes would be called '%s'. Next: --recordings NAME=%s", n->v[i].name, n->v[i].folder);
    return OK;
}

/* ---- keys ---- */

static enum status key_of(const json_t *key, char vkey[CHAIN_NOTE_MAX], struct err *err)
{
    unsigned char raw[32];
    size_t len = 0;
    if (json_text(key, "instance")[0] == 0 || b64url_decode(slice_str(json_text(key, "log_key")), raw, sizeof raw, &len) != OK || len != sizeof raw
        || chain_note_vkey(raw, json_text(key, "instance"), vkey) != OK)
        return fail(err, BAD_INPUT, "the log key is not { \"instance\": …, \"log_key\": 32 bytes as base64url }");
    return OK;
}

/* log/key is a verifier key, "countersign/INSTANCE+HASH+base64(1 || key)": taken apart, and compared with what such a key would look like. */
static enum status read_vkey(const char *text, json_t **out, struct err *err)
{
    static const char origin[] = "countersign/";
    const char *first = strchr(text, '+'), *second = first != NULL ? strchr(first + 1, '+') : NULL;
    unsigned char raw[64];
    char key[B64URL_LEN(32) + 1], instance[128], again[CHAIN_NOTE_MAX];
    if (second == NULL || strlen(second + 1) != 44 || strncmp(text, origin, sizeof origin - 1) != 0 || (size_t)(first - text) >= sizeof instance
        || EVP_DecodeBlock(raw, (const unsigned char *)second + 1, 44) != 33)
        return fail(err, BAD_INPUT, "log/key is not the verifier key of a log of ours");
    snprintf(instance, sizeof instance, "%.*s", (int)(first - text - (long)(sizeof origin - 1)), text + sizeof origin - 1);
    b64url_encode(slice_of(raw + 1, 32), key);
    if (chain_note_vkey(raw + 1, instance, again) != OK || strcmp(again, text) != 0)
        return fail(err, BAD_INPUT, "log/key is damaged");
    *out = json_pack("{s:s, s:s}", "instance", instance, "log_key", key);
    return *out != NULL ? OK : fail(err, NO_MEMORY, "log key");
}

static enum status key_in_folder(struct node *n, json_t **out, struct err *err)
{
    struct evidence e = { 0 };
    unsigned char *text = NULL;
    size_t len = 0;
    char *path = file_join(n->folder, n->kept ? "log-key" : "log/key");
    enum status st = path != NULL ? OK : fail(err, NO_MEMORY, "path");
    if (st == OK && n->kept) {
        st = evidence_load_key(&e, path, err);
        *out = e.log_key;
    } else if (st == OK) {
        st = file_read(path, KEY_TEXT_MAX, false, &text, &len, err);
        if (st == OK) {
            text[strcspn((const char *)text, "\n")] = 0;
            st = read_vkey((const char *)text, out, err);
        }
    }
    free(text);
    free(path);
    return st;
}

/* Of the given keys the one that the folder names; without any, the folder's own. */
static enum status find_key(struct node *n, json_t *const *given, size_t count, bool *used, struct err *err)
{
    char own[CHAIN_NOTE_MAX], other[CHAIN_NOTE_MAX];
    json_t *found = NULL;
    enum status st = key_in_folder(n, &found, err);
    if (st == NOT_FOUND && count == 1) {
        n->log_key = json_incref(given[0]);
        used[0] = true;
        return OK;
    }
    if (st == OK)
        st = key_of(found, own, err);
    for (size_t i = 0; i < count && st == OK && n->log_key == NULL; i++)
        if (key_of(given[i], other, err) == OK && strcmp(own, other) == 0) {
            n->log_key = json_incref(given[i]);
            used[i] = true;
        }
    if (st == OK && count > 0 && n->log_key == NULL)
        st = fail(err, REFUSED, "none of the --log-key files is the key that %s names as its own. If you trust your files, its log is not the node's", n->name);
    n->own_key = count == 0;
    if (st == OK && n->log_key == NULL)
        n->log_key = json_incref(found);
    json_decref(found);
    return st;
}

static enum status find_keys(struct nodes *n, const char *const *log_keys, struct err *err)
{
    json_t *given[NODES_MAX] = { NULL };
    bool used[NODES_MAX] = { false };
    size_t count = 0;
    enum status st = OK;
    for (; log_keys != NULL && log_keys[count] != NULL && st == OK; count++) {
        struct evidence e = { 0 };
        st = evidence_load_key(&e, log_keys[count], err);
        given[count] = e.log_key;
    }
    for (size_t i = 0; i < n->count && st == OK; i++)
        st = find_key(&n->v[i], given, count, used, err);
    for (size_t i = 0; i < count; i++) {
        if (st == OK && !used[i])
            st = fail(err, BAD_INPUT, "'%s' is no node's key", log_keys[i]);
        json_decref(given[i]);
    }
    return st;
}

enum status nodes_open(const char *const *folders, const char *const *log_keys, struct nodes *out, struct err *err)
{
    struct nodes n = { .count = 0 };
    enum status st = OK;
    for (; folders[n.count] != NULL && st == OK; n.count++)
        st = split(&n.v[n.count], folders[n.count], err);
    if (st == OK)
        st = names_differ(&n, err);
    if (st == OK)
        st = find_keys(&n, log_keys, err);
    if (st == OK)
        *out = n;
    else
        nodes_done(&n);
    return st;
}

void nodes_done(struct nodes *n)
{
    for (size_t i = 0; i < n->count; i++) {
        struct node *one = &n->v[i];
        audit_close(one->audit);
        evidence_done(&one->e);
        json_decref(one->log_key);
        free(one->altered);
        free(one->name);
        free(one->folder);
    }
    *n = (struct nodes){ .count = 0 };
}

/* ---- one session ---- */

static enum status open_audit(struct node *n, struct err *err)
{
    unsigned char key[32];
    size_t len = 0;
    struct err why = { "" };
    if (n->audit != NULL || n->altered != NULL)
        return OK;
    if (b64url_decode(slice_str(json_text(n->log_key, "log_key")), key, sizeof key, &len) != OK || len != sizeof key)
        return fail(err, BAD_INPUT, "the log key of %s is damaged", n->name);
    enum status st = audit_open(n->folder, json_text(n->log_key, "instance"), key, &n->audit, &why);
    if (st != CORRUPT)
        return st == OK ? OK : fail(err, st, "%s: %s", n->name, why.text);
    n->altered = strdup(why.text);
    return n->altered != NULL ? OK : fail(err, NO_MEMORY, "node");
}

static enum status load_kept(struct node *n, const char *session, struct err *err)
{
    char *tar = file_join(n->folder, "recording.tar"), *log = file_join(n->folder, "log.json");
    struct evidence e = { 0 };
    enum status st = tar && log ? evidence_load(access(tar, F_OK) == 0 ? tar : NULL, log, NULL, NULL, &e, err) : fail(err, NO_MEMORY, "path");
    free(tar);
    free(log);
    if (st == OK && strcmp(e.session, session) == 0)
        n->e = e;
    else
        evidence_done(&e);
    return st;
}

static enum status load_state(struct node *n, const char *session, struct err *err)
{
    char name[100];
    json_t *log = NULL;
    enum status st = open_audit(n, err);
    snprintf(name, sizeof name, "recordings/%s.tar", session);
    if (st == OK && n->audit != NULL)
        st = audit_log(n->audit, session, &log, err);
    if (st == OK && log != NULL)
        st = evidence_take_log(&n->e, log, err);
    if (st == OK && is_there(n->folder, name) && (n->e.recording = file_join(n->folder, name)) == NULL)
        st = fail(err, NO_MEMORY, "path");
    return st;
}

/* Leaves about keys and auditors go with every session: they are no sign that this one was ever here. */
bool node_knows(const struct node *n)
{
    size_t i;
    json_t *leaf;
    if (n->e.recording != NULL)
        return true;
    json_array_foreach(evidence_leaves(&n->e), i, leaf)
        if (json_text_is(leaf, "type", "segment"))
            return true;
    return false;
}

enum status nodes_session(struct nodes *n, const char *session, struct err *err)
{
    bool known = false;
    enum status st = id_is_plain(session) ? OK : fail(err, NOT_FOUND, "no session has the id '%s'. Next: `countersign sessions` lists the ids", session);
    for (size_t i = 0; i < n->count && st == OK; i++) {
        struct node *one = &n->v[i];
        evidence_done(&one->e);
        st = one->kept ? load_kept(one, session, err) : load_state(one, session, err);
        snprintf(one->e.session, sizeof one->e.session, "%s", session);
        if (one->e.log_key == NULL)
            one->e.log_key = json_incref(one->log_key);
        known = known || node_knows(one);
    }
    if (st == OK && !known)
        st = fail(err, NOT_FOUND, "none of these folders has anything of the session %s. Next: countersign sessions --recordings DIR", session);
    return st;
}
