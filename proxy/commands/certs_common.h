/* certs_common: what the `certs` sub-commands share: finding the state folder, opening its CA, and words for people. */
#ifndef COUNTERSIGN_CERTS_COMMON_H
#define COUNTERSIGN_CERTS_COMMON_H

#include "certs/ca.h"
#include "certs/people_file.h"
#include "proxy/commands/commands.h"

int certs_issue(int argc, char **argv);      /* cmd_certs_issue.c */
int certs_renew(int argc, char **argv);
int certs_issue_server(const char *state, const char *config, char **names, size_t count);   /* cmd_certs_server.c */
int certs_revoke(int argc, char **argv);     /* cmd_certs_revoke.c */
int certs_crl(int argc, char **argv);
int certs_list(int argc, char **argv);       /* cmd_certs_list.c */

int certs_signing_key(int argc, char **argv);   /* cmd_certs_signing.c */

struct certs_place {
    struct state_paths paths;
    struct ca *ca;                           /* open and locked */
};
/* From --state DIR (its countersign.conf) or --config FILE, exactly one of them. As root, the process takes on the owner of the
 * state folder first, so that the gateway can read what is written; `umask` keeps all of it private. On failure everything is said and
 * *exit_code set. */
bool certs_place_open(const char *state, const char *config, struct certs_place *out, int *exit_code);
void certs_place_close(struct certs_place *p);
/* Path in the state folder, malloc'd; NULL: no memory. */
char *certs_path(const struct certs_place *p, const char *name);

/* Make both files of a key and its chain in the state folder's tls/: used by init as well. */
MUST_CHECK enum status server_files_write(struct ca *ca, const char *state, char *const *names, size_t count, int64_t now_s, struct err *err);

/* "2027-01-31" of a time. out holds 16 bytes. */
void certs_day(int64_t s, char out[16]);

#endif
