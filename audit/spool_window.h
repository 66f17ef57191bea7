/* audit/spool_window.h - room ahead of the records of a slot, mapped, so that a request need not wait for a system call.
 *
 * process: `written to the file` means that the kernel holds it, and what is stored into a shared mapping of the file is there as
 * well: it outlives the process like what write() took, and is 15 times faster when the core has slept (0.6 and 10 us for 2 KB).
 * The keeper allocates, maps and touches the next SPOOL_WINDOW_BYTES of the segment when half of the last ones are used; where
 * there is no window yet (a burst, a file system that cannot allocate, a full disk) the writing thread calls write() as ever.
 *
 *            ask() (writing thread)          keep() (keeper)              next() (writing thread)
 *   [none] ------------------------> [asked] ----------------> [ready] --------------------------> [none]
 *                                       \------ it failed ---> [failed] ---- drop(): a new segment ---> [none]
 *
 * An open segment is therefore longer than its records: zeroes follow. Closing it cuts them off, after a crash recovery does.
 * The first four bytes of a record, its magic, are stored last: a record that was not finished is none (spool_read.c).
 * A page that the file system cannot give after all (SIGBUS) is a failed write.
 *
 * Invariants: (W1) a file is lengthened only under `lock`, while the segment is open and asked; (W2) a window is in memory only
 * as long as its segment is open. */
#ifndef AUDIT_SPOOL_WINDOW_H
#define AUDIT_SPOOL_WINDOW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SPOOL_WINDOW_BYTES = 256 << 10 };

/* Part of a file in memory. Zeroes: none. */
struct spool_map {
    char *ptr;
    uint64_t from, to; /* offsets in the file */
};

enum spool_window_state {
    SPOOL_WINDOW_NONE,
    SPOOL_WINDOW_ASKED,
    SPOOL_WINDOW_READY,
    SPOOL_WINDOW_FAILED,
};

struct spool_window {
    struct spool_map now;      /* of the writing thread: where records go */
    bool news;                 /* of the writing thread: asked since spool_window_news() */
    atomic_int state;          /* enum spool_window_state; changed under lock */
    pthread_mutex_t lock;      /* of what follows */
    uint64_t segno, from, max; /* asked: segment, offset, and where it ends */
    uint64_t allocated;        /* the file is that long, or 0 */
    struct spool_map next;     /* ready */
    struct spool_map past;     /* the keeper unmaps it */
};

void spool_window_init(struct spool_window *w);
void spool_window_fini(struct spool_window *w);

/* Stores a record of n bytes at that offset of the open segment. False: not in a window, nothing is stored; or its pages
 * could not be had: then *failed. Thread: the slot's. */
bool spool_window_put(struct spool_window *w, uint64_t at, const char *record, size_t n,
                      bool *failed);

/* Asks for a window when there is little room behind that offset; a segment ends at max. Thread: the slot's. */
void spool_window_ask(struct spool_window *w, uint64_t segno, uint64_t at, uint64_t max);

/* True once after a window was asked for: the keeper is to be woken. Thread: the slot's. */
bool spool_window_news(struct spool_window *w);

/* The segment closes: no window of it stays, and the file is not lengthened any more. Returns the length that was allocated, or 0.
 * Thread: the slot's; waits while the keeper allocates. */
uint64_t spool_window_drop(struct spool_window *w);

/* Makes the window that was asked for in the segment of that name and number. Thread: the keeper. */
bool spool_window_wanted(struct spool_window *w, uint64_t *segno);
void spool_window_make(struct spool_window *w, int dirfd, const char *name, uint64_t segno);

#endif
