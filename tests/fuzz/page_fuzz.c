/* What a tool once answered, as replay shows it: any bytes under any type and coding must print as text without a control character, within bounds. */
#include "proxy/commands/body_text.h"
#include "proxy/commands/html_text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_and_look(void (*print)(FILE *, const char *, const char *, struct slice, size_t, const char *), const char *type, const char *coding, struct slice body)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (f == NULL)
        return;
    print(f, type, coding, body, 1000, "| ");
    fclose(f);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            abort();
    }
    free(text);
}

/* The first byte chooses type and coding, the rest is the body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = { "text/html", "application/json", "application/x-www-form-urlencoded", "text/plain", "image/png", "" };
    static const char *const codings[] = { "", "gzip", "deflate", "br" };
    if (size == 0)
        return 0;
    const char *type = types[data[0] % 6], *coding = codings[data[0] / 6 % 4];
    struct slice body = slice_from(slice_of(data, size), 1);
    print_and_look(body_page_print, type, coding, body);
    print_and_look(body_text_print, type, coding, body);
    return 0;
}
