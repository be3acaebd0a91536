#include "proxy/commands/certs_common.h"

#include "proxy/base/clock.h"
#include "proxy/base/file.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void certs_day(int64_t s, char out[16])
{
    char text[CLOCK_TEXT_MAX];
    clock_rfc3339(s * 1000, text);
    snprintf(out, 16, "%.10s", text);
}

char *certs_path(const struct certs_place *p, const char *name)
{
    return file_join(p->paths.state, name);
}

static enum status become_owner(const char *state, struct err *err)
{
    struct stat sb;
    if (stat(state, &sb) != 0)
        return fail(err, NOT_FOUND, "cannot open the state folder '%s': %s", state, strerror(errno));
    if (geteuid() != 0 || sb.st_uid == 0)
        return OK;
    if (setgroups(0, NULL) != 0 || setegid(sb.st_gid) != 0 || seteuid(sb.st_uid) != 0)
        return fail(err, IO_FAILED, "cannot act as the owner of '%s': %s", state, strerror(errno));
    return OK;
}

static enum status open_place(const char *config, struct certs_place *p, struct err *err)
{
    enum status st = state_paths_read(config, &p->paths, err);
    if (st == OK)
        st = become_owner(p->paths.state, err);
    if (st != OK)
        return st;
    char *folder = certs_path(p, "ca");
    if (folder == NULL)
        return fail(err, NO_MEMORY, "opening the CA");
    st = ca_open(folder, &p->ca, err);
    if (st == NOT_FOUND)
        err_prefix(err, "this state folder has no CA of its own (or its keys are kept elsewhere): ");
    free(folder);
    return st;
}

bool certs_place_open(const char *state, const char *config, struct certs_place *out, int *exit_code)
{
    struct certs_place p = { 0 };
    struct err err;
    umask(077);
    if ((state == NULL) == (config == NULL)) {
        command_failed("say which state folder with either --state DIR or --config FILE");
        *exit_code = EXIT_USAGE;
        return false;
    }
    char *file = config ? strdup(config) : file_join(state, "countersign.conf");
    enum status st = file ? open_place(file, &p, &err) : fail(&err, NO_MEMORY, "opening the CA");
    free(file);
    if (st == OK) {
        *out = p;
        return true;
    }
    certs_place_close(&p);
    *exit_code = command_failed("%s", err.text);
    return false;
}

void certs_place_close(struct certs_place *p)
{
    ca_close(p->ca);
    state_paths_done(&p->paths);
    p->ca = NULL;
}
