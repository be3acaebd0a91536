#include "certs/verified.h"

#include <string.h>

static _Thread_local struct verified table[VERIFIED_MAX];

/* A thumbprint is a hash, so its own bytes spread well. Somebody who tries for one that overwrites another's gains nothing but a verification. */
static struct verified *entry_for(const unsigned char thumbprint[32])
{
    return &table[thumbprint[0] % VERIFIED_MAX];
}

const struct verified *verified_find(uint64_t trust, const unsigned char thumbprint[32], int64_t now_s)
{
    const struct verified *v = entry_for(thumbprint);
    bool same = v->trust == trust && memcmp(v->thumbprint, thumbprint, sizeof v->thumbprint) == 0;   /* no secret */
    return same && trust != 0 && v->from_s <= now_s && now_s < v->until_s ? v : NULL;
}

void verified_keep(const struct verified *v)
{
    *entry_for(v->thumbprint) = *v;
}
