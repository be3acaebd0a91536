/* fetch_file: a file's content for libcurl; internal to this folder. */
#ifndef COUNTERSIGN_FETCH_FILE_H
#define COUNTERSIGN_FETCH_FILE_H

#include <curl/curl.h>
#include <stdbool.h>

/* Set an option that takes a blob to the content of a file, at most 4 MiB. False: it can't be read (said in the log), or libcurl does not take it. */
bool fetch_file(CURL *c, CURLoption option, const char *path);

#endif
