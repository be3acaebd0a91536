#include "proxy/record/redact_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static char *const words[] = { "password", "token" };

struct row {
    const char *name, *said, *kept;
};
static const struct row rows[] = {
    { "JSON", "{\"user\":\"a\",\"password\":\"hunter2\"}", "{\"user\":\"a\",\"password\":\"removed\"}" },
    { "JSON after space", " \r\n\t{\"token\":\"t\"}", " \r\n\t{\"token\":\"removed\"}" },
    { "list", "[{\"token\":\"t\"},1]", "[{\"token\":\"removed\"},1]" },
    { "socket.io event", "42[\"login\",{\"password\":\"x\"}]", "42[\"login\",{\"password\":\"removed\"}]" },
    { "socket.io namespace and id", "42/admin,13[\"login\",{\"password\":\"x\"}]", "42/admin,13[\"login\",{\"password\":\"removed\"}]" },
    { "engine.io open", "0{\"sid\":\"a\",\"token\":\"t\"}", "0{\"sid\":\"a\",\"token\":\"removed\"}" },
    { "SockJS letter", "a[{\"token\":\"t\"}]", "a[{\"token\":\"removed\"}]" },
    { "nested", "{\"payload\":{\"variables\":{\"newPassword\":1,\"password\":[1,2]}}}", "{\"payload\":{\"variables\":{\"newPassword\":1,\"password\":\"removed\"}}}" },
    { "form", "user=a&password=hunter2&x=1", "user=a&password=removed&x=1" },
    { "form, secret first", "password=hunter2", "password=removed" },
    { "form, escaped name", "p%61ssword=hunter2", "p%61ssword=removed" },
    { "a terminal's line", "ls -la password=x", "ls -la password=x" },
    { "a prompt", "[root@host ~]$ token=1", "[root@host ~]$ token=1" },
    { "no such thing", "hello", "hello" },
    { "empty", "", "" },
    { "lead as long as may be", "0123456789012345678901234567890123456789012345678901234567890123[{\"token\":1}]",
      "0123456789012345678901234567890123456789012345678901234567890123[{\"token\":\"removed\"}]" },
    { "lead too long", "01234567890123456789012345678901234567890123456789012345678901234[{\"token\":1}]",
      "01234567890123456789012345678901234567890123456789012345678901234[{\"token\":1}]" },
    { "broken JSON after a secret", "{\"token\":\"t\",}oops \"token\":\"u\"", "{\"token\":\"removed\",}oops \"token\":\"u\"" },
    { "nothing but =", "=x", "=x" },
    { "NUL in front", "\x01{\"token\":1}", "\x01{\"token\":1}" },
};

static void every_message_however_it_is_cut(void **state)
{
    static const unsigned char mask[4] = { 7, 0, 255, 42 };
    struct secret_names names;
    struct arena names_arena;
    (void)state;
    arena_init(&names_arena, 65536);
    assert_int_equal(secret_names_copy(words, 2, &names_arena, &names), OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t piece = 1; piece <= strlen(rows[i].said) + 1; piece++) {
            struct slice said = slice_str(rows[i].said);
            char kept[1024];
            size_t len = 0;
            struct text_state *r = NULL;
            struct arena arena;
            arena_init(&arena, 65536);
            for (size_t at = 0; at < said.len; at += piece) {
                size_t n = said.len - at < piece ? said.len - at : piece;
                unsigned char *masked = malloc(n), *text = NULL;
                assert_non_null(masked);
                for (size_t k = 0; k < n; k++)
                    masked[k] = said.ptr[at + k] ^ mask[(at + k) & 3];
                struct tape_message m = { .from = TAPE_CLIENT, .opcode = 1, .first = at == 0, .mask = mask, .mask_at = at & 3, .data = slice_of(masked, n) };
                assert_int_equal(message_redact(&r, &names, &arena, &m, &text), OK);
                assert_true(m.mask == NULL && len + m.data.len < sizeof kept);
                memcpy(kept + len, m.data.ptr, m.data.len);
                len += m.data.len;
                free(masked);
                free(text);
            }
            arena_done(&arena);
            kept[len] = 0;
            if (strcmp(kept, rows[i].kept) != 0)
                fail_msg("%s, in pieces of %zu: '%s'", rows[i].name, piece, kept);
        }
    arena_done(&names_arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_message_however_it_is_cut) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
