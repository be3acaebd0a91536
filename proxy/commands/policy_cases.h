/* policy_cases: a file of questions to a policy, each with the answer that is wanted, asked of a config (countersign policy test).
 *
 *   file   = *( line LF )                                     ; at most 1 MiB, a line at most 4096 bytes, UTF-8 without control characters but tabs
 *   line   = "" / "#" comment / test                          ; words are parted by spaces or tabs
 *   test   = IDENTITY METHOD URL *( NAME=VALUE ) "->" ANSWER [ ACTION ] [ "by" names ]
 *   ANSWER = "grant" / "signoff" / "deny"                     ; what the policy says
 *          / "refused"                                        ; the gateway itself refuses the address, whatever the policy says
 *   names  = "nobody" / name *( "," name )                    ; exactly those whose yes would count: for the grant, or for the sign-off
 *
 *   alice@acme.example  GET   https://support.acme.example/customers                      -> grant
 *   alice@acme.example  POST  https://support.acme.example/run   action=export&format=csv -> signoff export by carol,dan
 *
 * NAME=VALUE are fields of the body as a form would send them; ACTION is the action that decides. */
#ifndef COUNTERSIGN_POLICY_CASES_H
#define COUNTERSIGN_POLICY_CASES_H

#include "proxy/commands/explain.h"

/* Ask them all. *out: {"passed", "failed", "tests": [{"line", "identity", "method", "url", "expected", "got", "why", "ok"}]}; the caller's.
 *   text  the file's bytes
 *   name  how messages call the file
 * Returns OK, with whatever came of them; BAD_INPUT: a line is no test (err: name:line: what was expected), or there is none at all; NO_MEMORY. */
MUST_CHECK enum status policy_cases_run(const struct config *c, struct slice text, const char *name, json_t **out, struct err *err);

#endif
