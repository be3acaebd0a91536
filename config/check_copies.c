/* What concerns several settings of what leaves this machine: copies to object storage, audit events. */
#include "config/loader.h"

void check_copies(struct load *l)
{
    const struct config *c = l->out;
    const config_setting_t *at = member_of(config_root_setting(&l->tree), "recording");
    const struct { const char *name, *value, *what; } needed[] = {
        { "copy_region", c->copy_region, "the region that requests are signed for, such as \"eu-central-1\"" },
        { "copy_key", c->copy_key, "the id of the access key" },
        { "copy_secret_file", c->copy_secret_file, "a file with the key's secret" },
    };
    if (at == NULL)
        return;
    if (c->keep_local_ms > 0 && member_of(at, "copy_to") == NULL)
        report(l, member_of(at, "keep_local"), NULL, "would delete recordings that are nowhere else, since there is no copy_to; expected both or none");
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        const config_setting_t *said = member_of(at, needed[i].name);
        if (c->copy_to != NULL && needed[i].value == NULL && said == NULL)
            report(l, at, needed[i].name, "is missing, and copy_to needs it; expected %s", needed[i].what);
        else if (member_of(at, "copy_to") == NULL && said != NULL)
            report(l, said, NULL, "has no effect without copy_to; expected both or none");
    }
}

void check_audit(struct load *l)
{
    const struct audit_settings *a = &l->out->audit;
    const config_setting_t *at = member_of(config_root_setting(&l->tree), "audit"), *syslog = member_of(at, "syslog");
    bool tls = a->syslog != NULL && strncmp(a->syslog, "tls:", 4) == 0;
    static const char *const of_tls[] = { "syslog_ca_file", "syslog_certificate", "syslog_key" };
    static const char *const of_webhook[] = { "webhook_secret_file", "webhook_authorization_file", "webhook_ca_file" };
    if (at == NULL)
        return;
    for (size_t i = 0; i < 3; i++) {
        if (member_of(at, of_tls[i]) != NULL && !tls && (syslog == NULL || a->syslog != NULL))
            report(l, member_of(at, of_tls[i]), NULL, "has no effect, since `syslog` is not \"tls:HOST:PORT\"; expected it to be left out");
        if (member_of(at, of_webhook[i]) != NULL && member_of(at, "webhook") == NULL)
            report(l, member_of(at, of_webhook[i]), NULL, "has no effect without `webhook`; expected both or none");
    }
    if ((member_of(at, "syslog_certificate") == NULL) != (member_of(at, "syslog_key") == NULL))
        report(l, at, member_of(at, "syslog_key") ? "syslog_certificate" : "syslog_key", "is missing; expected the certificate and its key together");
    if (a->webhook != NULL && member_of(at, "webhook_secret_file") == NULL)
        report(l, at, "webhook_secret_file", "is missing; expected a file with the secret that signs what is sent, such as the output of `openssl rand -hex 32`");
    check_secret(l, at, "webhook_secret_file", a->webhook_secret_file);
    check_secret(l, at, "webhook_authorization_file", a->webhook_authorization_file);
    check_secret(l, at, "syslog_key", a->syslog_key);
}
