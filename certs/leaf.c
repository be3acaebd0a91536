#include "certs/leaf.h"

#include "proxy/base/codec.h"

#include <openssl/x509v3.h>
#include <time.h>

enum { LOCAL_MAX = 64, LABEL_MAX = 63, HOST_MAX = 253, SERIAL_OCTETS_MAX = 20 };

static bool is_alnum(unsigned char c)
{
    unsigned char l = ascii_lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9');
}

static bool is_atext(unsigned char c)
{
    return is_alnum(c) || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool local_ok(struct slice s)
{
    if (s.len == 0 || s.len > LOCAL_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        bool dot = s.ptr[i] == '.';
        if (!dot && !is_atext(s.ptr[i]))
            return false;
        if (dot && (i == 0 || i + 1 == s.len || s.ptr[i + 1] == '.'))
            return false;
    }
    return true;
}

static bool label_ok(struct slice s)
{
    if (s.len == 0 || s.len > LABEL_MAX || !is_alnum(s.ptr[0]) || !is_alnum(s.ptr[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.ptr[i]) && s.ptr[i] != '-')
            return false;
    return true;
}

static bool all_digits(struct slice s)
{
    size_t i = 0;
    while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9')
        i++;
    return i == s.len;
}

static bool domain_ok(struct slice s)
{
    if (s.len > HOST_MAX)
        return false;
    for (;;) {
        size_t dot = slice_find(s, '.');
        if (!label_ok(slice_of(s.ptr, dot)))
            return false;
        if (dot == s.len)
            return !all_digits(s);   /* else an IPv4 address would be a name */
        s = slice_from(s, dot + 1);
    }
}

static void lower_into(struct slice s, char *out)
{
    for (size_t i = 0; i < s.len; i++)
        out[i] = (char)ascii_lower(s.ptr[i]);
    out[s.len] = 0;
}

enum status address_parse(struct slice text, char out[IDENTITY_MAX + 1])
{
    if (text.len > IDENTITY_MAX)
        return BAD_INPUT;
    size_t at = slice_find(text, '@');
    if (at == text.len || !local_ok(slice_of(text.ptr, at)) || !domain_ok(slice_from(text, at + 1)))
        return BAD_INPUT;
    lower_into(text, out);
    return OK;
}

enum status hostname_parse(struct slice text, bool wildcard, char out[254])
{
    struct slice checked = text;
    if (text.len > HOST_MAX)
        return BAD_INPUT;
    if (wildcard && slice_starts(text, SLICE("*.")))
        checked = slice_from(text, 2);
    if (!domain_ok(checked))
        return BAD_INPUT;
    lower_into(text, out);
    return OK;
}

bool asn1_time_s(const ASN1_TIME *t, int64_t *out)
{
    struct tm tm;
    if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
        return false;
    *out = timegm(&tm);
    return true;
}

enum status serial_hex(const ASN1_INTEGER *serial, char out[48])
{
    int len = ASN1_STRING_length(serial);
    if (ASN1_STRING_type(serial) != V_ASN1_INTEGER || len < 1 || len > SERIAL_OCTETS_MAX)
        return BAD_INPUT;
    hex_encode(slice_of(ASN1_STRING_get0_data(serial), (size_t)len), out);
    return OK;
}

enum status spki_fingerprint(EVP_PKEY *key, char out[44])
{
    unsigned char *der = NULL, digest[32];
    int len = i2d_PUBKEY(key, &der);
    if (len <= 0)
        return BAD_INPUT;
    sha256_one(slice_of(der, (size_t)len), digest);
    OPENSSL_free(der);
    b64url_encode(slice_of(digest, sizeof digest), out);
    return OK;
}

/* The one SAN, or NULL: there is none, there are two, or it is not DER to its last byte. What another parser (the tool's, that reads Client-Cert) could read
 * differently names nobody. */
static GENERAL_NAMES *alternative_names(X509 *leaf)
{
    int at = X509_get_ext_by_NID(leaf, NID_subject_alt_name, -1);
    if (at < 0 || X509_get_ext_by_NID(leaf, NID_subject_alt_name, at) >= 0)
        return NULL;
    const ASN1_OCTET_STRING *raw = X509_EXTENSION_get_data(X509_get_ext(leaf, at));
    const unsigned char *in = ASN1_STRING_get0_data(raw);
    unsigned char *again = NULL;
    GENERAL_NAMES *names = d2i_GENERAL_NAMES(NULL, &in, ASN1_STRING_length(raw));
    int len = names != NULL ? i2d_GENERAL_NAMES(names, &again) : -1;
    bool exact = len > 0 && slice_eq(slice_of(again, (size_t)len), slice_of(ASN1_STRING_get0_data(raw), (size_t)ASN1_STRING_length(raw)));
    OPENSSL_free(again);
    if (exact)
        return names;
    GENERAL_NAMES_free(names);
    return NULL;
}

/* Exactly one rfc822Name. Other kinds of names may stand beside it and say nothing here; a second one would leave open who this is. */
static bool read_address(X509 *leaf, char out[IDENTITY_MAX + 1])
{
    int found = 0;
    bool good = false;
    GENERAL_NAMES *names = alternative_names(leaf);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_EMAIL)
            continue;
        const ASN1_IA5STRING *s = name->d.rfc822Name;
        struct slice text = slice_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
        good = ++found == 1 && ASN1_STRING_type(s) == V_ASN1_IA5STRING && address_parse(text, out) == OK;
    }
    GENERAL_NAMES_free(names);
    if (!good)
        out[0] = 0;
    return good;
}

enum cert_state leaf_read(X509 *leaf, struct identity *out)
{
    memset(out, 0, sizeof *out);
    unsigned char *der = NULL;
    int len = i2d_X509(leaf, &der);
    if (len > 0) {
        sha256_one(slice_of(der, (size_t)len), out->thumbprint);
        b64url_encode(slice_of(out->thumbprint, sizeof out->thumbprint), out->x5t);
    }
    OPENSSL_free(der);
    bool dated = asn1_time_s(X509_get0_notAfter(leaf), &out->not_after_s);
    bool numbered = serial_hex(X509_get0_serialNumber(leaf), out->serial) == OK;
    bool named = X509_get_version(leaf) == X509_VERSION_3 && read_address(leaf, out->name);   /* extensions are version 3's (RFC 5280 s4.1.2.9) */
    return len > 0 && dated && numbered && named ? CERT_GOOD : CERT_NO_IDENTITY;
}

/* What only a CA's certificate may hold (RFC 5280 s4.2.1.3, s4.2.1.9, s4.2.1.10): of one that has it and says that it is none, parsers differ over what it is. */
static bool has_marks_of_ca(X509 *leaf)
{
    bool signs = (X509_get_extension_flags(leaf) & EXFLAG_KUSAGE) && (X509_get_key_usage(leaf) & KU_KEY_CERT_SIGN);
    return signs || X509_get_pathlen(leaf) >= 0 || X509_get_ext_by_NID(leaf, NID_name_constraints, -1) >= 0;
}

bool leaf_is_for_clients(X509 *leaf)
{
    uint32_t flags = X509_get_extension_flags(leaf);
    if (flags & (EXFLAG_INVALID | EXFLAG_CA) || X509_check_ca(leaf) != 0 || has_marks_of_ca(leaf))
        return false;
    if (!(flags & EXFLAG_XKUSAGE) || !(X509_get_extended_key_usage(leaf) & XKU_SSL_CLIENT))
        return false;
    return !(flags & EXFLAG_KUSAGE) || (X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) != 0;
}
