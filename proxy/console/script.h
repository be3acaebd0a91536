/* script: files that are built into the program: the console's scripts (web/sign.js, web/page.js), and the description of the API (openapi.json, OpenAPI 3.1). */
#ifndef COUNTERSIGN_SCRIPT_H
#define COUNTERSIGN_SCRIPT_H

#include "proxy/base/slice.h"

struct slice console_script(void);
struct slice console_page_script(void);
struct slice console_openapi(void);

#endif
