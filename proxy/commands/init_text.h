/* init_text: what `countersign init` writes for the operator to read and edit. */
#ifndef COUNTERSIGN_INIT_TEXT_H
#define COUNTERSIGN_INIT_TEXT_H

#include <stddef.h>

struct init_names {
    const char *domain, *instance, *listen;   /* "tools.example.com", "[a-z0-9.-]", "127.0.0.1" (brackets round an IPv6 address) */
    unsigned port;
    char *const *auditors;            /* public keys that recordings are sealed to */
    size_t auditor_count;             /* 0: `unsealed` */
};

/* All malloc'd; NULL: no memory. */
char *init_config_text(const struct init_names *n);
char *init_people_text(void);
char *init_approval_keys_text(void);

#endif
