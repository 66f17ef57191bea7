/* tests/simt/nccl.h - what a test may ask of the library that stands in for NVIDIA's NCCL on emulated devices. */
#ifndef TESTS_SIMT_NCCL_H
#define TESTS_SIMT_NCCL_H

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum fake_nccl_mode {
    FAKE_NCCL_OFF,   /* joining fails, as where it finds no devices: the first state */
    FAKE_NCCL_WORKS, /* sums in the order of devices */
    FAKE_NCCL_FAILS  /* joining works, and the first few sums; then they fail */
};

struct fake_nccl {
    enum fake_nccl_mode mode;
    unsigned long sums;       /* made so far */
    unsigned joined, aborted; /* communicators that are there; that were aborted */
};

/* Opens the library beside the test's program, before anything looks for one by name, and returns its state; NULL: there is none. */
static inline struct fake_nccl *fake_nccl_open(void)
{
    char path[PATH_MAX], file[PATH_MAX + 32];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    void *lib;

    if (n <= 0)
        return NULL;
    path[n] = '\0'; /* BUILD/tests/unit/FOLDER/NAME */
    for (int i = 0; i < 4; i++)
        (void)dirname(path);
    (void)snprintf(file, sizeof(file), "%s/simt/libnccl.so.2", path);
    lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    return lib == NULL ? NULL : dlsym(lib, "fake_nccl_state");
}

#endif
