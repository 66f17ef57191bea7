/* tests/files.h - folders that tests make. */
#ifndef TESTS_FILES_H
#define TESTS_FILES_H

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static inline int test_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

/* Removes a folder and all below it; links are removed, not followed. False: something is left; true if nothing was there. */
static inline bool test_remove_tree(const char *path)
{
    return nftw(path, test_remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || access(path, F_OK) != 0;
}

#endif
