/* dlp/confine.h - runs a tool as a child that can do little harm. Private to the rule compiler.
 *
 * The child is a process group of its own, without a shell, in a folder given, without our descriptors, environment and
 * signal masks, without new privileges, without network where the kernel lets us take it away, with limits on processor
 * time, memory, file size, descriptors and wall-clock time; it dies with us. */
#ifndef DLP_CONFINE_H
#define DLP_CONFINE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"

struct confine {
    const char *dir;         /* current folder and TMPDIR of the child */
    const char *log;         /* path of a file that gets what it prints */
    unsigned max_s;          /* seconds, of processor time and of the clock */
    const atomic_bool *stop; /* set: the child is ended; may be NULL */
};

/* Runs argv, found on PATH, and waits. GW_OK: it ended with status 0. GW_ENOENT: not installed; GW_ETIMEDOUT; GW_ECANCELED:
 * stopped; GW_EIO with the first line that it printed. Thread: any that may block. */
enum gw_status confine_run(const char *const *argv, const struct confine *c, struct gw_err *err);

#endif
