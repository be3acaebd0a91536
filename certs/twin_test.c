/* twin: made a second time through OpenSSL's own encoder, and verified with the CA's key. */
#include "certs/twin.h"

#include "certs/leaf.h"
#include "proxy/base/codec.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static X509 *signed_by(EVP_PKEY *ca, const EVP_MD *md, size_t padding)
{
    X509 *cert = X509_new();
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 60);
    unsigned char *name = calloc(1, padding + 1);
    memset(name, 'x', padding);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "description", MBSTRING_ASC, name, -1, -1, 0);
    free(name);
    X509_set_pubkey(cert, ca);
    assert_true(X509_sign(cert, ca, md) > 0);
    return cert;
}

static void x5t_of(X509 *cert, char out[X5T_LEN + 1])
{
    struct identity who;
    (void)leaf_read(cert, &who);
    memcpy(out, who.x5t, X5T_LEN + 1);
}

/* The other form, by way of OpenSSL's structures. */
static X509 *mirror(X509 *cert, EVP_PKEY *ca)
{
    X509 *other = X509_dup(cert);
    const ASN1_BIT_STRING *seen = NULL;
    BIGNUM *order = NULL, *s = BN_new();
    unsigned char *der = NULL;
    X509_get0_signature(&seen, NULL, other);
    const unsigned char *at = ASN1_STRING_get0_data(seen);
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, ASN1_STRING_length(seen));
    assert_int_equal(EVP_PKEY_get_bn_param(ca, OSSL_PKEY_PARAM_EC_ORDER, &order), 1);
    BN_sub(s, order, ECDSA_SIG_get0_s(sig));
    ECDSA_SIG_set0(sig, BN_dup(ECDSA_SIG_get0_r(sig)), s);
    int len = i2d_ECDSA_SIG(sig, &der);
    ASN1_STRING_set((ASN1_STRING *)(uintptr_t)seen, der, len);
    OPENSSL_free(der);
    ECDSA_SIG_free(sig);
    BN_free(order);
    return other;
}

static void test_both_forms_name_each_other(void **state)
{
    (void)state;
    static const char *const curves[] = { "P-256", "P-384", "P-521" };
    static const size_t sizes[] = { 1, 90, 128, 200, 256, 700, 65400 };   /* headers of every length */
    for (size_t c = 0; c < 3; c++) {
        EVP_PKEY *ca = EVP_EC_gen(curves[c]);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            X509 *cert = signed_by(ca, EVP_sha256(), sizes[i]), *other = mirror(cert, ca);
            char one[X5T_LEN + 1], two[X5T_LEN + 1], of_one[X5T_LEN + 1], of_two[X5T_LEN + 1];
            assert_int_equal(X509_verify(other, ca), 1);
            x5t_of(cert, one);
            x5t_of(other, two);
            certificate_twin(cert, ca, of_one);
            certificate_twin(other, ca, of_two);
            assert_string_not_equal(one, two);
            assert_string_equal(of_one, two);
            assert_string_equal(of_two, one);
            X509_free(cert);
            X509_free(other);
        }
        EVP_PKEY_free(ca);
    }
}

static void test_what_has_no_other_form(void **state)
{
    (void)state;
    EVP_PKEY *ec = EVP_EC_gen("P-256"), *wide = EVP_EC_gen("P-384"), *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *rsa = EVP_RSA_gen(2048);
    X509 *by_ed = signed_by(ed, NULL, 5), *by_rsa = signed_by(rsa, EVP_sha256(), 5), *by_wide = signed_by(wide, EVP_sha256(), 5);
    char x5t[X5T_LEN + 1];
    const struct {
        X509 *cert;
        EVP_PKEY *issuer;
    } rows[] = { { by_ed, ed }, { by_rsa, rsa }, { by_ed, ec }, { by_rsa, ec }, { by_wide, NULL } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        x5t[0] = 'x';
        certificate_twin(rows[i].cert, rows[i].issuer, x5t);
        assert_string_equal(x5t, "");
    }
    X509_free(by_ed);
    X509_free(by_rsa);
    X509_free(by_wide);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(wide);
    EVP_PKEY_free(ed);
    EVP_PKEY_free(rsa);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_both_forms_name_each_other), cmocka_unit_test(test_what_has_no_other_form) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
