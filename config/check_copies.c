/* What concerns several settings of copies to object storage. */
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
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        const config_setting_t *said = member_of(at, needed[i].name);
        if (c->copy_to != NULL && needed[i].value == NULL && said == NULL)
            report(l, at, needed[i].name, "is missing, and copy_to needs it; expected %s", needed[i].what);
        else if (member_of(at, "copy_to") == NULL && said != NULL)
            report(l, said, NULL, "has no effect without copy_to; expected both or none");
    }
}
