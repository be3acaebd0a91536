#include "proxy/console/script.h"

/* The assembler copies the file in; CMakeLists.txt says where it lies, and that this file depends on it. */
__asm__(".section .rodata\n"
        ".global cs_sign_js\n"
        ".global cs_sign_js_end\n"
        "cs_sign_js:\n"
        ".incbin \"proxy/console/web/sign.js\"\n"
        "cs_sign_js_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const unsigned char cs_sign_js[], cs_sign_js_end[];

struct slice console_script(void)
{
    return slice_of(cs_sign_js, (size_t)(cs_sign_js_end - cs_sign_js));
}
