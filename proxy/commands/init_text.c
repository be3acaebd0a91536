#include "proxy/commands/init_text.h"

#include <stdio.h>
#include <string.h>

static const char config_head[] =
    "# Countersign's configuration (libconfig). `countersign check -c FILE` shows every problem with file and line, and\n"
    "# `countersign check --reference` explains every setting. Paths are relative to this file. Sizes and times are strings with a unit: \"64KiB\", \"15m\".\n"
    "# A running gateway reads this again when it gets SIGHUP, and keeps the old settings if the new ones are wrong.\n"
    "\n"
    "# Names this gateway in tokens, statements and logs. Do not change it later: what was signed carries it.\n"
    "instance = \"%s\";\n"
    "\n"
    "# Keys, database, held requests and recordings live here.\n"
    "state = \".\";\n"
    "\n"
    "# Run as this user when started as root. It must own the state folder.\n"
    "# user = \"countersign\";\n"
    "\n"
    "# Worker threads; 0: one a core.\n"
    "workers = 0;\n"
    "\n"
    "# Where to listen. For other machines to reach the gateway: \"0.0.0.0:%u\" and \"[::]:%u\", or this machine's address.\n"
    "listen = [ \"%s:%u\" ];\n"
    "\n"
    "# The port in the addresses people see, if something in front forwards another one to this gateway (without ending TLS).\n"
    "public_port = %u;\n"
    "\n"
    "# People ask, approve and look here. Like every tool's host it must lead to this gateway.\n"
    "console = \"console.%s\";\n"
    "\n"
    "tls = {\n"
    "  certificate = \"tls/server.pem\";    # the gateway's own, for %s and *.%s; one of your usual authority is fine too\n"
    "  key         = \"tls/server.key\";\n"
    "  client_ca   = \"ca/root.pem\";       # whose certificates people may present\n"
    "  crl         = \"ca/crl.pem\";        # must be current, else everybody is refused; the gateway renews it\n"
    "};\n"
    "\n"
    "# Whose signature counts as a yes; `countersign certs issue --approver` adds to it.\n"
    "approval_keys = \"approval-keys\";\n"
    "\n"
    "# Who stands behind which certificate, and in which groups. `countersign certs issue --groups` adds to it.\n"
    "@include \"people.conf\"\n"
    "\n"
    "# Groups that may look at sessions, and groups that may stop people. Neither can approve by that.\n"
    "roles = {\n"
    "  auditors  = [ \"auditor\" ];\n"
    "  operators = [ \"operator\" ];\n"
    "};\n"
    "\n"
    "# With true, a change of this file that could give anybody more than before counts only once two different operators have signed it (countersign pending,\n"
    "# approve). Switch it on once everybody is set up and there are two operators: the file as it is then is what later changes are compared with.\n"
    "policy = {\n"
    "  second_operator = false;\n"
    "};\n"
    "\n";

static const char config_tools[] =
    "# The web applications behind the gateway. This one is an example: change its host, upstream and actions to yours. A request that\n"
    "# matches no action is refused; when several match, the strictest counts (deny, then signoff, then grant).\n"
    "tools = (\n"
    "  {\n"
    "    name     = \"support\";\n"
    "    host     = \"support.%s\";\n"
    "    upstream = \"http://127.0.0.1:8000\";          # let nothing else reach it\n"
    "\n"
    "    who          = [ \"support\" ];                # may ask for a grant\n"
    "    approvers    = ( { group = \"support-lead\"; count = 1; } );   # somebody else has to say yes\n"
    "    max_duration = \"30m\";                        # of a grant\n"
    "    request_ttl  = \"1h\";                         # a request for access waits this long\n"
    "    held_ttl     = \"15m\";                        # a held request waits this long\n"
    "\n"
    "    # Patterns: '*' within one path segment, '**' across segments; in values '*' stands for anything.\n"
    "    actions = (\n"
    "      { name = \"view\";   methods = [ \"GET\", \"HEAD\" ]; path = \"/**\"; allow = \"grant\"; },\n"
    "      { name = \"change\"; methods = [ \"POST\" ]; path = \"/**\"; allow = \"grant\"; },\n"
    "      { name = \"export\"; path = \"/export/**\"; allow = \"signoff\";\n"
    "        signoff = ( { group = \"security\"; count = 1; } ); },\n"
    "      { name = \"export-selected\"; methods = [ \"POST\" ]; path = \"/**\"; allow = \"signoff\";\n"
    "        body = ( { name = \"action\"; equals = \"*export*\"; } );    # a form or JSON field, however it is sent\n"
    "        signoff = ( { group = \"security\"; count = 1; } ); },\n"
    "      { name = \"delete\"; path = \"/**/delete/**\"; allow = \"deny\"; }\n"
    "    );\n"
    "  }\n"
    ");\n";

static const char people_text[] =
    "# The people this gateway knows. `countersign certs issue NAME --identity ADDRESS --groups A,B` adds a line at the end of the list and\n"
    "# changes nothing else, so comments and order stay as you write them. An entry looks like this:\n"
    "#   { name = \"alice\"; identities = [ \"alice@example.com\" ]; groups = [ \"support\" ]; }\n"
    "# name: who she is, in rules about \"someone else\". identities: the addresses in her certificates. groups: what she may ask for and approve.\n"
    "people = (\n"
    ");\n";

static const char approval_keys_text[] =
    "# Approval keys: whose signature counts as a yes. One key a line:\n"
    "#   person fingerprint public-key not-after\n"
    "# `countersign certs issue --approver` adds a line and `countersign certs revoke` removes it.\n";

static void put_recording(FILE *f, const struct init_names *n)
{
    fputs("# Recordings are sealed to these public keys, at least two, and nobody else, this gateway included, can open them. To add an auditor, add the line that\n"
          "# `countersign auditor-key` prints; to retire a key, take it out: what was sealed to it before stays readable to its owner.\n"
          "recording = {\n", f);
    for (size_t i = 0; i < n->auditor_count; i++)
        fprintf(f, "%s\"%s\"%s\n", i == 0 ? "  sealed_to = [ " : "                ", n->auditors[i], i + 1 < n->auditor_count ? "," : " ];");
    if (n->auditor_count == 0)
        fputs("  unsealed = true;    # for trying things out: whoever can read the disk can read every recording; better: sealed_to = [ \"age1…\", \"age1…\" ];\n", f);
    fputs("};\n\n", f);
}

char *init_config_text(const struct init_names *n)
{
    char *out = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);
    if (f == NULL)
        return NULL;
    fprintf(f, config_head, n->instance, n->port, n->port, n->listen, n->port, n->port, n->domain, n->domain, n->domain);
    put_recording(f, n);
    fprintf(f, config_tools, n->domain);
    return fclose(f) == 0 ? out : NULL;
}

char *init_people_text(void)
{
    return strdup(people_text);
}

char *init_approval_keys_text(void)
{
    return strdup(approval_keys_text);
}
