#include "certs/ca_cert.h"
#include "proxy/base/clock.h"
#include "proxy/base/file.h"
#include "proxy/commands/certs_common.h"

#include <stdio.h>
#include <stdlib.h>

/* The key first: a gateway that reloads between the two finds a pair that does not fit, and keeps the old one. */
static enum status write_pair(const char *cert_path, const char *key_path, struct ca *ca, X509 *cert, EVP_PKEY *key, struct err *err)
{
    X509 *chain[] = { cert, ca_server_root(ca) };
    enum status st = key_write(key_path, key, err);
    return st == OK ? pem_write_certs(cert_path, chain, 2, 0644, err) : st;
}

enum status server_files_write(struct ca *ca, const char *state, char *const *names, size_t count, int64_t now_s, struct err *err)
{
    char *folder = file_join(state, "tls"), *cert_path = file_join(state, "tls/server.pem"), *key_path = file_join(state, "tls/server.key");
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    enum status st = folder && cert_path && key_path ? OK : fail(err, NO_MEMORY, "server certificate");
    if (st == OK)
        st = file_mkdirs(folder, 0700, err);
    if (st == OK)
        st = key_make(KEY_P256, &key, err);
    if (st == OK)
        st = ca_issue_server(ca, names, count, key, now_s, &cert, err);
    if (st == OK)
        st = write_pair(cert_path, key_path, ca, cert, key, err);
    X509_free(cert);
    EVP_PKEY_free(key);
    free(folder);
    free(cert_path);
    free(key_path);
    return st;
}

int certs_issue_server(const char *state, const char *config, char **names, size_t count)
{
    struct certs_place place;
    struct err err;
    int code = EXIT_DONE;
    if (!certs_place_open(state, config, &place, &code))
        return code;
    char *domain = cert_permitted_domain(ca_server_root(place.ca)), *wildcard = NULL;
    char *usual[2] = { domain, NULL };
    enum status st = OK;
    if (count == 0 && domain != NULL && asprintf(&wildcard, "*.%s", domain) > 0) {
        usual[1] = wildcard;
        names = usual;
        count = 2;
    }
    st = server_files_write(place.ca, place.paths.state, names, count, clock_wall_s(), &err);
    if (st == OK) {
        char day[16];
        certs_day(clock_wall_s() + (int64_t)CA_SERVER_DAYS * 86400, day);
        printf("%s/tls/server.pem and server.key are new, good until %s, for:", place.paths.state, day);
        for (size_t i = 0; i < count; i++)
            printf(" %s", names[i]);
        puts("\nA running gateway takes them up when it gets SIGHUP.");
    } else {
        code = command_failed("%s", err.text);
    }
    free(wildcard);
    free(domain);
    certs_place_close(&place);
    return code;
}
