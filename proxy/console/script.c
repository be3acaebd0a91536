#include "proxy/console/script.h"

/* The assembler copies the files in; CMakeLists.txt says where they lie, and that this file depends on them. */
__asm__(".section .rodata\n"
        ".global cs_sign_js\n"
        ".global cs_sign_js_end\n"
        "cs_sign_js:\n"
        ".incbin \"proxy/console/web/sign.js\"\n"
        "cs_sign_js_end:\n"
        ".byte 0\n"
        ".global cs_page_js\n"
        ".global cs_page_js_end\n"
        "cs_page_js:\n"
        ".incbin \"proxy/console/web/page.js\"\n"
        "cs_page_js_end:\n"
        ".byte 0\n"
        ".global cs_openapi\n"
        ".global cs_openapi_end\n"
        "cs_openapi:\n"
        ".incbin \"proxy/console/openapi.json\"\n"
        "cs_openapi_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const unsigned char cs_sign_js[], cs_sign_js_end[], cs_page_js[], cs_page_js_end[], cs_openapi[], cs_openapi_end[];

struct slice console_script(void)
{
    return slice_of(cs_sign_js, (size_t)(cs_sign_js_end - cs_sign_js));
}

struct slice console_page_script(void)
{
    return slice_of(cs_page_js, (size_t)(cs_page_js_end - cs_page_js));
}

struct slice console_openapi(void)
{
    return slice_of(cs_openapi, (size_t)(cs_openapi_end - cs_openapi));
}
