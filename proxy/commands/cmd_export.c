/* export: a recorded session for other people's tools. */
#include "proxy/base/clock.h"
#include "proxy/commands/auditor.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/evidence.h"
#include "proxy/commands/exchange_filter.h"
#include "proxy/commands/har.h"
#include "proxy/commands/nodes.h"
#include "proxy/commands/wacz.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"
#include "proxy/record/archive_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct export {
    struct profile profile;
    struct exchange_filter filter;
    const char *file, *output, *folders[OPTION_TIMES_MAX];
    struct nodes nodes;               /* of folders */
    bool raw, wacz, fingerprints, json;
    size_t exchanges;
    unsigned segments;
};

static enum status write_har(struct export *x, const struct archive *a, const char *title, FILE *out, struct err *err)
{
    struct har h;
    enum status st = OK;
    har_begin(&h, out, title, x->fingerprints);
    for (size_t i = 0; i < archive_count(a) && st == OK; i++)
        if (exchange_filter_fits(&x->filter, archive_at(a, i)) && !archive_is_claim(archive_at(a, i))) {
            st = har_entry(&h, i + 1, archive_at(a, i), err);
            x->exchanges++;
        }
    return st == OK ? har_end(&h, err) : st;
}

static enum status write_wacz(struct export *x, const struct archive *a, const char *title, FILE *out, struct err *err)
{
    struct wacz_options o = { title, x->fingerprints, clock_wall_ms() };
    FILE *work = evidence_nameless_file(err);
    enum status st = work != NULL ? wacz_write(a, &o, work, out, &x->exchanges, err) : IO_FAILED;
    if (work != NULL)
        fclose(work);
    return st;
}

/* HAR or WACZ: made of what can be read, and what can't is said. */
static enum status write_exchanges(struct export *x, const struct evidence *e, const struct age_keys *keys, FILE *out, struct err *err)
{
    struct archive *a = NULL;
    char title[200];
    struct evidence several = { 0 };
    enum status st = x->nodes.count > 0 ? nodes_read(&x->nodes, e->session, keys, NODES_WHOLE, &several, &a, err) : archive_open(e->recording, keys, &a, err);
    if (st != OK)
        return st;
    if (archive_bad_segments(a) > 0) {
        unsigned number = 0;
        const char *why = archive_bad_segment(a, 0, &number);
        fprintf(stderr, "countersign: segment %u cannot be read, and is left out: %s\n", number, why);
    }
    nodes_print(stderr, &several);
    evidence_done(&several);
    snprintf(title, sizeof title, "Session %s, as %s recorded it%s", e->session[0] ? e->session : "(from a file)", x->nodes.count > 0 ? "its nodes" : "the gateway",
             x->fingerprints ? "" : "; cookies and tokens are left out");
    st = x->wacz ? write_wacz(x, a, title, out, err) : write_har(x, a, title, out, err);
    if (st == OK && archive_bad_segments(a) > 0)
        st = fail(err, CORRUPT, "the file lacks %zu segments that could not be read. Next: countersign verify", archive_bad_segments(a));
    archive_free(a);
    return st;
}

/* One node's records after the other's: each begins with its own warcinfo, and ids are random. */
static enum status write_raw(struct export *x, const struct evidence *e, const struct age_keys *keys, FILE *out, struct err *err)
{
    enum status st = OK;
    unsigned segments = 0;
    if (x->nodes.count == 0)
        return archive_copy_warc(e->recording, keys, out, &x->segments, err);
    st = nodes_session(&x->nodes, e->session, err);
    for (size_t i = 0; i < x->nodes.count && st == OK; i++) {
        if (x->nodes.v[i].e.recording == NULL)
            continue;
        st = archive_copy_warc(x->nodes.v[i].e.recording, keys, out, &segments, err);
        x->segments += segments;
    }
    return st;
}

/* A file that is only its owner's: it holds what the recording was sealed for. */
static FILE *open_output(const char *path, struct err *err)
{
    if (path == NULL)
        return stdout;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (f == NULL)
        (void)fail(err, IO_FAILED, "cannot write '%s': %s", path, strerror(errno));
    return f;
}

static enum status write_out(struct export *x, const struct evidence *e, struct err *err)
{
    struct age_keys *keys = NULL;
    enum status st = auditor_keys(&x->profile, &keys, err);
    FILE *out = st == OK ? open_output(x->output, err) : NULL;
    if (st == OK && out == NULL)
        st = IO_FAILED;
    if (st == OK)
        st = x->raw ? write_raw(x, e, keys, out, err) : write_exchanges(x, e, keys, out, err);
    if (out != NULL && (out == stdout ? fflush(out) : fclose(out)) != 0 && st == OK)
        st = fail(err, IO_FAILED, "cannot write the file: %s", strerror(errno));
    age_keys_free(keys);
    return st;
}

static int export_run(struct export *x, const char *session)
{
    struct err err = { 0 };
    struct client *client = NULL;
    struct evidence e = { 0 };
    enum status st = OK;
    if (x->folders[0] != NULL) {
        snprintf(e.session, sizeof e.session, "%s", session);
        st = nodes_open(x->folders, NULL, &x->nodes, &err);
    } else if (x->file == NULL) {
        st = client_open(&x->profile, &client, &err);
        if (st == OK)
            st = evidence_fetch(client, session, "export", &e, &err);
    } else {
        st = evidence_load(x->file, NULL, NULL, session, &e, &err);
    }
    if (st == OK)
        st = write_out(x, &e, &err);
    int code = st == OK ? EXIT_DONE : client_failed(client, &err);
    if (st == OK && x->json)
        command_json(x->raw ? json_pack("{s:s, s:i}", "file", x->output, "segments", (int)x->segments)
                            : json_pack("{s:s, s:I}", "file", x->output, "exchanges", (json_int_t)x->exchanges));
    else if (st == OK && x->output != NULL && x->raw)
        printf("%u segment%s as WARC in %s. It is not sealed any more: keep it where nobody else reads it.\n", x->segments, x->segments == 1 ? "" : "s", x->output);
    else if (st == OK && x->output != NULL)
        printf("%zu exchange%s as %s in %s. It is not sealed any more: keep it where nobody else reads it.\n", x->exchanges, x->exchanges == 1 ? "" : "s", x->wacz ? "WACZ" : "HAR", x->output);
    evidence_done(&e);
    nodes_done(&x->nodes);
    client_free(client);
    return code;
}

static const char *check(struct export *x, size_t count)
{
    if (x->file == NULL && count == 0)
        return "a session or --file is missing";
    if (x->folders[0] != NULL && x->file != NULL)
        return "--recordings and --file are two sources";
    if (x->raw && x->wacz)
        return "--raw and --wacz are two formats";
    if (x->wacz && exchange_filter_any(&x->filter))
        return "--wacz takes the whole session, since pages need what belongs to them; --action, --method, --path, --status, --since and --until are for HAR";
    if (x->raw && exchange_filter_any(&x->filter))
        return "--raw gives all records as they are; --action, --method, --path, --status, --since and --until are for HAR";
    if (x->raw && x->fingerprints)
        return "--raw gives all records as they are, fingerprints included";
    if (x->json && x->output == NULL)
        return "--json tells about the file, and needs --output";
    if (x->output == NULL && isatty(STDOUT_FILENO))
        return "--output FILE is missing (or send it into a pipe): what is in it could drive your terminal";
    return exchange_filter_read(&x->filter, clock_wall_s());
}

int cmd_export(int argc, char **argv)
{
    struct export x = { 0 };
    const struct option_spec options[] = {
        { "output", 'o', "FILE", "where it goes (else standard output)", &x.output, NULL, false },
        { "raw", 0, NULL, "as WARC (.warc.gz), with every record as it was written, instead of HAR", NULL, &x.raw, false },
        { "wacz", 0, NULL, "as WACZ, which opens in ReplayWeb.page, instead of HAR", NULL, &x.wacz, false },
        { "fingerprints", 0, NULL, "HAR, WACZ: keep what tells equal cookies and tokens from different ones", NULL, &x.fingerprints, false },
        { "file", 0, "TAR", "a recording kept earlier, instead of asking the gateway", &x.file, NULL, false },
        NODES_OPTION(x.folders),
        EXCHANGE_FILTER_OPTIONS(x.filter),
        AUDITOR_OPTIONS(x.profile),
        { 0 },
    };
    const struct usage usage = { "countersign export SESSION --output session.har | export SESSION --wacz --output session.wacz | export SESSION --raw --output session.warc.gz | export SESSION --recordings DIR --recordings DIR … --output session.har",
        "A recorded session for other tools: HAR 1.2 opens in browsers' developer tools, WACZ in ReplayWeb.page, WARC in web archives' tools. Exporting is written in the log." PROFILE_HELP, options, 0, 1,
        &x.json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    const char *wrong = check(&x, count);
    if (wrong != NULL)
        return wrong_usage(&usage, "%s", wrong);
    if (count == 1 && !id_is_plain(args[0]))
        return command_failed("no session has the id '%s'. Next: countersign sessions", args[0]);
    code = export_run(&x, count == 1 ? args[0] : NULL);
    profile_done(&x.profile);
    return code;
}
