/* test_folder: a throw-away folder for a test, removed with all that is in it, links not followed. */
#ifndef COUNTERSIGN_TEST_FOLDER_H
#define COUNTERSIGN_TEST_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEST_FOLDER_BYTES = 64 };

static inline int test_folder_make(char out[TEST_FOLDER_BYTES])
{
    snprintf(out, TEST_FOLDER_BYTES, "/tmp/countersign-test-XXXXXX");
    return mkdtemp(out) != NULL ? 0 : -1;
}

static int test_folder_remove_one(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb, (void)type, (void)at;
    return remove(path);
}

static inline int test_folder_remove(const char *path)
{
    return nftw(path, test_folder_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
