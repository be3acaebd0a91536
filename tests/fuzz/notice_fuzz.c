/* What a notice says: whatever facts hold, the line is one line, its code spans close, its only link is ours, and a mail keeps its header. */
#include "proxy/courier/notice_make.h"
#include "proxy/courier/notice_words.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const events[] = { "access.requested", "signoff.requested", "item.escalated", "lock.placed", "key.proposed", "break-glass.used", "policy.pending", "?" };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct notice_target t = { .from = (char *)"gateway@acme.example" };
    static const char *const to[] = { "bob@acme.example", NULL };
    if (size < 1 || size > 8192 || memchr(data + 1, 0, size - 1) != NULL)
        return 0;
    json_t *said = json_stringn_nocheck((const char *)data + 1, size - 1);
    json_t *facts = json_pack("{s:s, s:s, s:s, s:O, s:O, s:O, s:s, s:s}", "event", events[data[0] % 8], "person", "alice", "tool", "support", "reason", said, "label", said, "summary", said, "link",
                              "https://console.example/", "instance", "gateway.example");
    char *slack = notice_slack(facts), *mail = notice_mail(&t, to, facts, "ntc_1", 1790000000);
    unsigned ticks = 0, links = 0;
    assert(slack != NULL && mail != NULL && strpbrk(slack, "\r\n") == NULL);
    for (const char *p = slack; *p != 0; p++) {
        ticks += *p == '`';
        links += *p == '<';
    }
    assert(ticks % 2 == 0 && ticks <= 2 && links == 1);
    const char *end = strstr(mail, "\r\n\r\n");
    assert(end != NULL && strncmp(mail, "Date: ", 6) == 0);
    for (const char *p = mail; p < end; p++)
        assert((*p >= 0x20 && *p < 0x7f) || (*p == '\r' && p[1] == '\n') || (*p == '\n' && p[-1] == '\r'));
    free(slack);
    free(mail);
    json_decref(facts);
    json_decref(said);
    return 0;
}
