/* commands: the sub-commands of `countersign`, one file each (cmd_NAME.c), and what they share.
 *
 * Every command has --help and, where it prints facts, --json; prints results on standard output and errors on standard error; and ends with 0 done,
 * 1 refused or failed, 2 wrong usage. An error says what happened, why, and what to do next. */
#ifndef COUNTERSIGN_COMMANDS_H
#define COUNTERSIGN_COMMANDS_H

#include "proxy/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };
enum { OPTION_TIMES_MAX = 17 };       /* 16, and the NULL */

struct command {
    const char *name, *summary;                /* NULL summary: not shown in the list (the processes of `run`) */
    int (*run)(int argc, char **argv);         /* argv[0] is the sub-command's name */
    const char *group;                         /* with the first of a group in the list: its heading; else NULL */
};
extern const char *const certs_subcommands[];  /* cmd_certs.c, ended by NULL */

/* One option. Either `value` (takes an argument) or `flag` is set. --help and, with `json` given, --json are options of every command. */
struct option_spec {
    const char *name;                          /* "config" for --config */
    char letter;                               /* 'c' for -c, or 0 */
    const char *arg;                           /* "FILE", shown in the help; one that ends with " …" may be given several times */
    const char *help;                          /* NULL: understood, but not offered */
    const char **value;                        /* of one that may be given several times: the first of OPTION_TIMES_MAX, NULL behind the last given */
    bool *flag;
    bool required;
};
struct usage {
    const char *synopsis;                      /* "countersign request TOOL --reason TEXT [--for 30m]" */
    const char *text;                          /* a short paragraph */
    const struct option_spec *options;         /* ended by a NULL name */
    size_t positionals_min, positionals_max;
    bool *json;                                /* NULL: the command has no --json */
};
/* Parse. On true, *positionals and *count are set (borrowed from argv). On false the command returns *exit_code at once: 0 after --help (on standard output), 2
 * after a mistake (usage on standard error). Options and positionals may be mixed; "--" ends options. */
bool options_parse(int argc, char **argv, const struct usage *u, char ***positionals, size_t *count, int *exit_code);

/* "countersign: text" on standard error; returns EXIT_REFUSED. */
int command_failed(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Pretty JSON and a newline on standard output; returns EXIT_DONE. Takes the reference. */
int command_json(json_t *value);

int cmd_init(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_run(int argc, char **argv);            /* the parent */
int cmd_authz(int argc, char **argv);          /* started by run */
int cmd_proxy(int argc, char **argv);          /* started by run */
int cmd_courier(int argc, char **argv);        /* started by run */
int cmd_certs(int argc, char **argv);
int cmd_request(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_pending(int argc, char **argv);
int cmd_approve(int argc, char **argv);
int cmd_deny(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_sessions(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_auditor_key(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_incident(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_verify_approval(int argc, char **argv);   /* `verify approval` */
int cmd_proof(int argc, char **argv);
int cmd_keys(int argc, char **argv);
int cmd_lock(int argc, char **argv);
int cmd_unlock(int argc, char **argv);
int cmd_delegate(int argc, char **argv);
int cmd_review(int argc, char **argv);
int cmd_withdraw(int argc, char **argv);
int cmd_carry_over(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_hold(int argc, char **argv);
int cmd_log(int argc, char **argv);
int cmd_policy(int argc, char **argv);

#endif
