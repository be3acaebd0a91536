/* profile: where the gateway's console is and which certificate to show it. Each value comes from the first of: the command's option, the
 * environment (COUNTERSIGN_GATEWAY, _CERT, _KEY, _CA, _AUDITOR_KEY, _STORAGE, _STORAGE_REGION, _STORAGE_KEY, _STORAGE_SECRET, _STORAGE_CA), the profile file. */
#ifndef COUNTERSIGN_PROFILE_H
#define COUNTERSIGN_PROFILE_H

#include "proxy/base/status.h"

#include <stdbool.h>

struct profile {
    const char *gateway;              /* "https://console.example:8443" */
    const char *cert, *key, *ca;      /* PEM files; ca NULL: the system's roots */
    const char *instance;             /* only from the profile file, NULL: not pinned. When set, a statement or log of another instance is refused. */
    const char *auditor_key;          /* file with an auditor's secret key: opens recordings; NULL: none */
    const char *storage;              /* object storage that recordings are copied to, "https://HOST/BUCKET/PREFIX"; NULL: none */
    const char *storage_region, *storage_key, *storage_secret, *storage_ca;   /* to read from it; secret: a file; ca NULL: the system's roots */
    bool from_storage;                /* named by the option: read from there, whatever the gateway still has */
    char *owned[11];                  /* what profile_fill allocated */
};

/* The options of every person-side command, for its table of struct option_spec. */
#define PROFILE_OPTIONS(p) \
    { "gateway", 0, "URL", "the console, e.g. https://console.example:8443", &(p).gateway, NULL, false }, \
    { "cert", 0, "FILE", "your certificate (PEM)", &(p).cert, NULL, false }, \
    { "key", 0, "FILE", "its private key (PEM)", &(p).key, NULL, false }, \
    { "ca", 0, "FILE", "the CA that vouches for the gateway (PEM)", &(p).ca, NULL, false }
/* And of those that open recordings. */
#define AUDITOR_OPTIONS(p) \
    { "auditor-key", 0, "FILE", "your secret key as an auditor: opens what is sealed to it", &(p).auditor_key, NULL, false }, \
    { "storage", 0, "URL", "read the recording from this object storage (https://HOST/BUCKET/PREFIX), not from the gateway", &(p).storage, NULL, false }, \
    PROFILE_OPTIONS(p)
#define PROFILE_HELP \
    "\n\nThe gateway, your certificate, its key and the CA come from the options, else from COUNTERSIGN_GATEWAY, COUNTERSIGN_CERT, COUNTERSIGN_KEY and" \
    "\nCOUNTERSIGN_CA, else from ~/.config/countersign/client.conf (gateway = \"https://…\"; cert = \"…\"; key = \"…\"; ca = \"…\";)."

/* Fill what the options left open. path: the profile file, or NULL for the usual place. A relative file in the profile is relative to the profile. A missing profile file is
 * fine; a broken one, or one that others may write to, is BAD_CONFIG. */
MUST_CHECK enum status profile_fill(struct profile *p, const char *path, struct err *err);
void profile_done(struct profile *p);

#endif
