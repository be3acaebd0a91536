#include "proxy/commands/replay_browser.h"

#include "proxy/base/file.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/session_view.h"
#include "proxy/commands/words.h"
#include "proxy/replay/serve.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* From a file alone there are no facts but the recording's own. */
static json_t *session_json(const struct evidence *e, const struct archive *a)
{
    const json_t *known = json_object_get(e->info, "session"), *leaves = evidence_leaves(e);
    json_t *o = json_is_object(known) ? json_deep_copy(known) : json_object();
    char host[512] = "";
    if (archive_count(a) > 0)
        head_field(archive_at(a, 0)->request_head, "host", host, sizeof host);
    json_object_set_new(o, "session_id", json_string(e->session));
    json_object_set_new(o, "recorded_host", json_string(host));
    json_object_set_new(o, "reason", json_string(view_reason(leaves)));
    json_object_set_new(o, "from_file", json_boolean(e->info == NULL));
    if (json_object_get(e->info, "nodes") != NULL)
        json_object_set(o, "nodes", json_object_get(e->info, "nodes"));
    json_object_set_new(o, "decisions", json_is_array(leaves) ? json_deep_copy(leaves) : json_array());
    return o;
}

static json_t *exchanges_json(const struct evidence *e, const struct archive *a)
{
    json_t *list = json_array();
    for (size_t i = 0; i < archive_count(a); i++)
        json_array_append_new(list, view_exchange_json(i + 1, archive_at(a, i), evidence_leaves(e)));
    return list;
}

static void say_words(void *to, const char *address)
{
    (void)to;
    printf("The session is open at\n\n    %s\n\nfor this machine's browsers only, and only with that address: whoever has it can watch. Pages come from the recording alone; a page that wants\n"
           "something that was not recorded does not get it. Ctrl-C closes it.\n", address);
    fflush(stdout);
}

static void say_json(void *to, const char *address)
{
    (void)to;
    command_json(json_pack("{s:s}", "address", address));
    fflush(stdout);
}

/* malloc'd; NULL: nowhere. */
static char *find_player(const char *named)
{
    static const char *const places[] = { "dom", "../share/countersign/dom" };
    char self[PATH_MAX], *slash;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (named != NULL)
        return strdup(named);
    self[n > 0 ? n : 0] = 0;
    if ((slash = strrchr(self, '/')) == NULL)
        return NULL;
    *slash = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *folder = file_join(self, places[i]), *file = folder ? file_join(folder, "replay.js") : NULL;
        bool there = file != NULL && access(file, R_OK) == 0;
        free(file);
        if (there)
            return folder;
        free(folder);
    }
    return NULL;
}

enum status replay_in_browser(const struct evidence *e, const struct archive *a, uint16_t port, const char *player, bool json, struct err *err)
{
    char *folder = find_player(player);
    struct replay_source source = { .archive = a, .session = session_json(e, a), .exchanges = exchanges_json(e, a), .player = folder };
    enum status st = source.session != NULL && source.exchanges != NULL ? OK : fail(err, NO_MEMORY, "replay");
    if (st == OK)
        st = replay_serve(&source, port, json ? say_json : say_words, NULL, err);
    json_decref(source.session);
    json_decref(source.exchanges);
    free(folder);
    return st;
}
