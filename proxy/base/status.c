#include "proxy/base/status.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *status_name(enum status st)
{
    static const char *const names[STATUS_COUNT] = {
        [OK] = "ok", [NO_MEMORY] = "no-memory", [BAD_INPUT] = "bad-input", [BAD_CONFIG] = "bad-config",
        [BAD_TOKEN] = "bad-token", [EXPIRED] = "expired", [REFUSED] = "refused", [NOT_FOUND] = "not-found",
        [EXISTS] = "exists", [FULL] = "full", [AGAIN] = "again", [CLOSED] = "closed",
        [IO_FAILED] = "io-failed", [CORRUPT] = "corrupt",
    };
    return (unsigned)st < STATUS_COUNT ? names[st] : "unknown";
}

enum status fail(struct err *err, enum status st, const char *fmt, ...)
{
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
    }
    return st;
}

void err_prefix(struct err *err, const char *fmt, ...)
{
    if (err == NULL)
        return;
    char old[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    old[sizeof old - 1] = 0;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->text)
        snprintf(err->text + n, sizeof err->text - (size_t)n, "%s", old);
}

const char *ossl_reason(void)
{
    static _Thread_local char text[256];
    unsigned long code = ERR_peek_last_error();
    if (code == 0)
        return "no reason given";
    ERR_error_string_n(code, text, sizeof text);
    const char *reason = ERR_reason_error_string(code);
    ERR_clear_error();
    return reason ? reason : text;
}
