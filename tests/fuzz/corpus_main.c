/* Runs a fuzz target over each file of a folder, once: a kept corpus is a plain test too. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return -1;
    size_t cap = 1 << 20, len;
    uint8_t *data = malloc(cap);
    len = data ? fread(data, 1, cap, f) : 0;
    fclose(f);
    /* Exactly as long as the input, so that a read past its end is seen by ASan. */
    uint8_t *exact = malloc(len ? len : 1);
    if (exact != NULL && data != NULL) {
        memcpy(exact, data, len);
        LLVMFuzzerTestOneInput(exact, len);
    }
    free(exact);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    DIR *dir = opendir(argv[1]);
    if (dir == NULL) {
        fprintf(stderr, "%s: cannot read the corpus folder '%s'\n", argv[0], argv[1]);
        return 1;
    }
    unsigned count = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char path[4096];
        if (e->d_name[0] == '.' || snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name) >= (int)sizeof path)
            continue;
        count += run_file(path) == 0;
    }
    closedir(dir);
    printf("%u inputs\n", count);
    return count > 0 ? 0 : 1;
}
