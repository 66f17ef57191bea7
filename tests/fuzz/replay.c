/* tests/fuzz/replay.c - runs a fuzz target over its seeds as an ordinary test, without libFuzzer.
 *
 * The program's name says which: replay_NAME reads tests/fuzz/corpus/NAME/, or the files and folders that
 * are its arguments (to run a crash again). Each input is also cut off in the middle and given with one
 * byte changed, so that even a small corpus goes down some wrong roads. A crash is the failure. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Runs exactly these bytes, from a block of exactly this size: ASan sees any byte beyond. */
static void run(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);

    if (copy == NULL)
        exit(2);
    if (size != 0)
        memcpy(copy, bytes, size);
    CHECK(LLVMFuzzerTestOneInput(copy, size) == 0);
    free(copy);
}

static void run_file(const char *path)
{
    enum { LARGEST = 4 << 20 };
    FILE *f = fopen(path, "rb");
    uint8_t *bytes = malloc(LARGEST);
    size_t size;

    if (f == NULL || bytes == NULL) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    size = fread(bytes, 1, LARGEST, f);
    fclose(f);
    run(bytes, size);
    run(bytes, size / 2);
    if (size != 0) {
        bytes[size / 3] ^= 0x21;
        run(bytes, size);
    }
    free(bytes);
}

/* Runs a file, or the files of a folder. Returns how many there were. */
static unsigned run_path(const char *path)
{
    DIR *d = opendir(path);
    unsigned n = 0;

    if (d == NULL) {
        run_file(path);
        return 1;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char file[4096];

        if (e->d_name[0] == '.')
            continue;
        snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
        run_file(file);
        n++;
    }
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    const char *name = strstr(argv[0], "replay_");
    char folder[256];

    run((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    if (argc == 1 && name != NULL) {
        snprintf(folder, sizeof(folder), "tests/fuzz/corpus/%s", name + strlen("replay_"));
        if (!CHECK(run_path(folder) > 0))
            fprintf(stderr, "%s: no seeds\n", folder);
    }
    return test_done();
}
