#include "authz/webauthn.h"

#include "authz/soft_authenticator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct webauthn_party party = { "console.acme.localhost", "https://console.acme.localhost:8443" };
static const unsigned char challenge[32] = { 1, 2, 3 }, other_challenge[32] = { 1, 2, 4 };
static const int algorithms[] = { WEBAUTHN_ES256, WEBAUTHN_EDDSA, WEBAUTHN_RS256 };
static struct soft soft[3];

static int make(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        soft_make(&soft[i], algorithms[i], party.rp_id, party.origin);
    return 0;
}

static int done(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        EVP_PKEY_free(soft[i].key);
    return 0;
}

static enum status registers(const struct soft_bytes *client_data, const struct soft_bytes *object, struct err *err)
{
    struct webauthn_credential c;
    unsigned char *exact = malloc(object->len ? object->len : 1);   /* so that one byte too far is seen */
    memcpy(exact, object->v, object->len);
    enum status st = webauthn_register(&party, challenge, slice_of(client_data->v, client_data->len), slice_of(exact, object->len), &c, err);
    if (st == OK)
        webauthn_credential_done(&c);
    free(exact);
    return st;
}

static void all_three_kinds_register_and_sign(void **state)
{
    static const char *const names[] = { "ES256", "EdDSA", "RS256" };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct soft s = soft[i];
        struct soft_bytes client, object, data, signature;
        struct webauthn_credential c;
        struct webauthn_facts facts;
        struct err err = { .text = "" };
        s.count = 7;
        soft_register(&s, challenge, &client, &object);
        assert_int_equal(webauthn_register(&party, challenge, slice_of(client.v, client.len), slice_of(object.v, object.len), &c, &err), OK);
        assert_string_equal(webauthn_algorithm_name(c.key), names[i]);
        assert_int_equal(c.alg, algorithms[i]);
        assert_int_equal(EVP_PKEY_eq(c.key, s.key), 1);
        assert_int_equal(c.id.len, 32);
        assert_int_equal(c.facts.count, 7);
        assert_false(c.facts.backup_eligible);
        s.count = 8;
        s.flags = 0x1d;
        soft_sign(&s, challenge, &client, &data, &signature);
        struct webauthn_answer a = soft_answer(&client, &data, &signature);
        assert_int_equal(webauthn_verify(&party, challenge, c.key, &a, &facts, &err), OK);
        assert_int_equal(facts.count, 8);
        assert_true(facts.backup_eligible && facts.backed_up);
        assert_int_equal(webauthn_verify(&party, challenge, soft[(i + 1) % 3].key, &a, &facts, &err), BAD_TOKEN);
        webauthn_credential_done(&c);
    }
}

/* What a browser or an authenticator may not say, in both ceremonies; the reason must be the right one. */
static void altered_ceremonies_are_refused(void **state)
{
    static const struct {
        const char *name, *why;
        unsigned char flags;
        const char *rp_id, *origin, *type, *more, *extensions;
    } rows[] = {
        { "nobody present", "somebody was present", 0x04, NULL, NULL, NULL, NULL, NULL },
        { "not verified", "did not verify", 0x01, NULL, NULL, NULL, NULL, NULL },
        { "neither", "somebody was present", 0x00, NULL, NULL, NULL, NULL, NULL },
        { "backed up but not eligible", "not eligible", 0x15, NULL, NULL, NULL, NULL, NULL },
        { "reserved bit 1", "no standard names", 0x07, NULL, NULL, NULL, NULL, NULL },
        { "reserved bit 5", "no standard names", 0x25, NULL, NULL, NULL, NULL, NULL },
        { "extensions promised, none there", "end where", 0x85, NULL, NULL, NULL, NULL, NULL },
        { "extensions unannounced", "end where", 0x05, NULL, NULL, NULL, NULL, "a0" },
        { "extensions no map", "end where", 0x85, NULL, NULL, NULL, NULL, "80" },
        { "extensions cut off", "end where", 0x85, NULL, NULL, NULL, NULL, "a1" },
        { "two extension maps", "end where", 0x85, NULL, NULL, NULL, NULL, "a0a0" },
        { "RP ID of the domain", "another RP ID", 0x05, "acme.localhost", NULL, NULL, NULL, NULL },
        { "RP ID of a tool", "another RP ID", 0x05, "support.acme.localhost", NULL, NULL, NULL, NULL },
        { "RP ID in capitals", "another RP ID", 0x05, "CONSOLE.acme.localhost", NULL, NULL, NULL, NULL },
        { "origin of a tool", "another origin", 0x05, NULL, "https://support.acme.localhost:8443", NULL, NULL, NULL },
        { "origin without port", "another origin", 0x05, NULL, "https://console.acme.localhost", NULL, NULL, NULL },
        { "origin with another port", "another origin", 0x05, NULL, "https://console.acme.localhost:443", NULL, NULL, NULL },
        { "origin in clear", "another origin", 0x05, NULL, "http://console.acme.localhost:8443", NULL, NULL, NULL },
        { "origin with a slash", "another origin", 0x05, NULL, "https://console.acme.localhost:8443/", NULL, NULL, NULL },
        { "origin that begins like ours", "another origin", 0x05, NULL, "https://console.acme.localhost:8443.evil.example", NULL, NULL, NULL },
        { "origin with a NUL", "not one JSON object", 0x05, NULL, "https://console.acme.localhost:8443\\u0000", NULL, NULL, NULL },
        { "an app's origin", "another origin", 0x05, NULL, "android:apk-key-hash:AAAA", NULL, NULL, NULL },
        { "a payment", "another type", 0x05, NULL, NULL, "payment.get", NULL, NULL },
        { "no type", "another type", 0x05, NULL, NULL, "", NULL, NULL },
        { "in a foreign frame", "in a frame", 0x05, NULL, NULL, NULL, ",\"crossOrigin\":true", NULL },
        { "crossOrigin no boolean", "in a frame", 0x05, NULL, NULL, NULL, ",\"crossOrigin\":\"false\"", NULL },
        { "crossOrigin null", "in a frame", 0x05, NULL, NULL, NULL, ",\"crossOrigin\":null", NULL },
        { "a top origin", "in a frame", 0x05, NULL, NULL, NULL, ",\"topOrigin\":\"https://evil.example\"", NULL },
        { "challenge twice", "not one JSON object", 0x05, NULL, NULL, NULL, ",\"challenge\":\"AAAA\"", NULL },
        { "origin twice", "not one JSON object", 0x05, NULL, NULL, NULL, ",\"origin\":\"https://console.acme.localhost:8443\"", NULL },
        { "something behind", "not one JSON object", 0x05, NULL, NULL, NULL, "}{", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct soft s = soft[i % 3];
        struct soft_bytes client, object, data, signature, extensions = { .len = 0 };
        struct webauthn_facts facts;
        struct err first = { .text = "" }, second = { .text = "" };
        s.flags = rows[i].flags;
        s.rp_id = rows[i].rp_id ? rows[i].rp_id : s.rp_id;
        s.origin = rows[i].origin ? rows[i].origin : s.origin;
        s.type = rows[i].type;
        s.more = rows[i].more;
        soft_hex(&extensions, rows[i].extensions ? rows[i].extensions : "");
        s.extensions = slice_of(extensions.v, extensions.len);
        soft_register(&s, challenge, &client, &object);
        enum status st = registers(&client, &object, &first);
        soft_sign(&s, challenge, &client, &data, &signature);
        struct webauthn_answer a = soft_answer(&client, &data, &signature);
        if (st != BAD_TOKEN || webauthn_verify(&party, challenge, s.key, &a, &facts, &second) != BAD_TOKEN)
            fail_msg("accepted: %s", rows[i].name);
        if (strstr(first.text, rows[i].why) == NULL || strstr(second.text, rows[i].why) == NULL)
            fail_msg("%s: \"%s\", \"%s\"", rows[i].name, first.text, second.text);
    }
}

static void extensions_and_unknown_members_are_allowed(void **state)
{
    struct soft s = soft[0];
    struct soft_bytes client, object, data, signature, extensions = { .len = 0 };
    struct webauthn_facts facts;
    struct err err = { .text = "" };
    (void)state;
    soft_hex(&extensions, "a16b6372656450726f7465637403");
    s.extensions = slice_of(extensions.v, extensions.len);
    s.flags = 0x85;
    s.more = ",\"other_keys_can_be_added_here\":\"do not compare clientDataJSON against a template\"";
    soft_register(&s, challenge, &client, &object);
    assert_int_equal(registers(&client, &object, &err), OK);
    soft_sign(&s, challenge, &client, &data, &signature);
    struct webauthn_answer a = soft_answer(&client, &data, &signature);
    assert_int_equal(webauthn_verify(&party, challenge, s.key, &a, &facts, &err), OK);
}

static void another_challenge_is_refused(void **state)
{
    struct soft_bytes client, object, data, signature;
    struct webauthn_facts facts;
    struct err err = { .text = "" };
    (void)state;
    soft_register(&soft[0], other_challenge, &client, &object);
    assert_int_equal(registers(&client, &object, &err), BAD_TOKEN);
    soft_sign(&soft[0], other_challenge, &client, &data, &signature);
    struct webauthn_answer a = soft_answer(&client, &data, &signature);
    assert_int_equal(webauthn_verify(&party, challenge, soft[0].key, &a, &facts, &err), BAD_TOKEN);
    assert_non_null(strstr(err.text, "another challenge"));
    /* A registration is no signature, and the other way round. */
    soft_register(&soft[0], challenge, &client, &object);
    a.client_data = slice_of(client.v, client.len);
    assert_int_equal(webauthn_verify(&party, challenge, soft[0].key, &a, &facts, &err), BAD_TOKEN);
    assert_non_null(strstr(err.text, "another type"));
}

/* Every single byte of an answer matters, and so does every length. */
static void any_change_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct soft_bytes client, data, signature;
        struct webauthn_facts facts;
        struct err err = { .text = "" };
        soft_sign(&soft[i], challenge, &client, &data, &signature);
        struct soft_bytes *const parts[] = { &client, &data, &signature };
        for (size_t p = 0; p < 3; p++)
            for (size_t k = 0; k < parts[p]->len; k++) {
                struct webauthn_answer a = soft_answer(&client, &data, &signature);
                parts[p]->v[k] ^= 1;
                if (webauthn_verify(&party, challenge, soft[i].key, &a, &facts, &err) != BAD_TOKEN)
                    fail_msg("algorithm %d: accepted with byte %zu of part %zu changed", algorithms[i], k, p);
                parts[p]->v[k] ^= 1;
                struct slice *const cut[] = { &a.client_data, &a.authenticator_data, &a.signature };
                cut[p]->len = k;
                if (webauthn_verify(&party, challenge, soft[i].key, &a, &facts, &err) != BAD_TOKEN)
                    fail_msg("algorithm %d: accepted with part %zu cut to %zu", algorithms[i], p, k);
            }
        struct webauthn_answer longer = soft_answer(&client, &data, &signature);
        longer.signature.len++;
        assert_int_equal(webauthn_verify(&party, challenge, soft[i].key, &longer, &facts, &err), BAD_TOKEN);
    }
}

static void registrations_cut_or_changed_are_refused_or_another_key(void **state)
{
    struct soft_bytes client, object;
    struct err err = { .text = "" };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        soft_register(&soft[i], challenge, &client, &object);
        size_t whole = object.len;
        for (size_t k = 0; k < whole; k++) {
            object.len = k;
            assert_int_equal(registers(&client, &object, &err), BAD_TOKEN);
        }
        object.len = whole;
        object.v[object.len++] = 0;
        assert_int_equal(registers(&client, &object, &err), BAD_TOKEN);
    }
}

/* Keys that are none; the credential's COSE map in the place of a good one. */
static void hostile_keys_are_refused(void **state)
{
    static const char x[] = "5820" "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
    static const char y[] = "5820" "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    static const struct { const char *name, *a, *b, *c, *d; bool good; } rows[] = {
        { "the generator", "a501020326200121", x, "22", y, true },
        { "in another order", "a50326010220012" "1", x, "22", y, true },
        { "not on the curve", "a501020326200121", x, "22", x, false },
        { "y missing", "a401020326200121", x, "", "", false },
        { "x twice", "a501020326200121", x, "21", y, false },
        { "kty twice", "a501020102200121", x, "22", y, false },
        { "a member too many", "a6010203262001040121", x, "22", y, false },
        { "P-384's number", "a501020326200221", x, "22", y, false },
        { "compressed", "a501020326200121", x, "22", "f5", false },
        { "alg of Ed25519", "a501020327200121", x, "22", y, false },
        { "no alg", "a40102200121", x, "22", y, false },
        { "ES384", "a50102033822200121", x, "22", y, false },
        { "x too short", "a501020326200121", "581f" "17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296", "22", y, false },
        { "Ed25519", "a401010327200621", x, "", "", true },
        { "Ed25519 with y", "a501010327200621", x, "22", y, false },
        { "X25519", "a401010327200421", x, "", "", false },
        { "a tiny RSA key", "a40103033901002041030143010001", "", "", "", false },
        { "a text for kty", "a50161320326200121", x, "22", y, false },
        { "an array", "8401020326", "", "", "", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct soft_bytes client, object = { .len = 0 }, data = { .len = 0 };
        struct err err = { .text = "" };
        soft_client_data(&soft[0], "webauthn.create", challenge, &client);
        soft_fixed(&soft[0], 0x45, &data);
        soft_hex(&data, "000102030405060708090a0b0c0d0e0f" "0010" "000102030405060708090a0b0c0d0e0f");
        soft_hex(&data, rows[i].a);
        soft_hex(&data, rows[i].b);
        soft_hex(&data, rows[i].c);
        soft_hex(&data, rows[i].d);
        soft_hex(&object, "a363666d74646e6f6e656761747453746d74a0686175746844617461");
        soft_byte_string(&object, data.v, data.len);
        if ((registers(&client, &object, &err) == OK) != rows[i].good)
            fail_msg("%s: %s", rows[i].name, rows[i].good ? err.text : "accepted");
    }
}

static void hostile_objects_are_refused(void **state)
{
    static const struct { const char *name, *hex; } rows[] = {
        { "nothing", "" }, { "no map", "80" }, { "empty map", "a0" },
        { "fmt twice", "a363666d74646e6f6e6563666d74646e6f6e65686175746844617461420000" },
        { "authData a text", "a363666d74646e6f6e656761747453746d74a0686175746844617461626161" },
        { "attStmt a number", "a363666d74646e6f6e656761747453746d7400686175746844617461420000" },
        { "another name", "a363666d74646e6f6e656761747453746d74a0686175746844617462420000" },
        { "bytes for a name", "a343666d74646e6f6e656761747453746d74a0686175746844617461420000" },
        { "authData too short", "a363666d74646e6f6e656761747453746d74a0686175746844617461420000" },
        { "length beyond all", "a363666d74646e6f6e656761747453746d74a06861757468446174615bffffffffffffffff" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct soft_bytes client, object = { .len = 0 };
        struct err err = { .text = "" };
        soft_client_data(&soft[0], "webauthn.create", challenge, &client);
        soft_hex(&object, rows[i].hex);
        if (registers(&client, &object, &err) != BAD_TOKEN)
            fail_msg("accepted: %s", rows[i].name);
    }
}

static void counters(void **state)
{
    static const struct { uint32_t before, now; bool good; } rows[] = {
        { 0, 0, true }, { 0, 1, true }, { 1, 2, true }, { 7, 4000000000u, true }, { 1, 1, false }, { 2, 1, false }, { 1, 0, false },
        { 4294967295u, 0, false }, { 4294967295u, 4294967295u, false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(webauthn_count_ok(rows[i].before, rows[i].now), rows[i].good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_three_kinds_register_and_sign), cmocka_unit_test(altered_ceremonies_are_refused),
        cmocka_unit_test(extensions_and_unknown_members_are_allowed), cmocka_unit_test(another_challenge_is_refused),
        cmocka_unit_test(any_change_is_refused), cmocka_unit_test(registrations_cut_or_changed_are_refused_or_another_key),
        cmocka_unit_test(hostile_keys_are_refused), cmocka_unit_test(hostile_objects_are_refused), cmocka_unit_test(counters),
    };
    return cmocka_run_group_tests(tests, make, done);
}
