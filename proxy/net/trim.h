/* proxy/net/trim.h - memory goes back to the system when a crowd has left.
 *
 * malloc() keeps what was freed between what is in use: after ten thousand connections nearly all of their memory would stay.
 * Each second the number of connections and the memory held for requests are compared with their highest values since the
 * last trim; when both are below a half of one that was worth it, malloc_trim() gives back the free pages of all threads. It
 * takes their locks for some milliseconds, so it waits until few requests run.
 *
 * glibc keeps up to seven freed blocks of each small size for the thread that freed them, and nobody else can have those: of a
 * crowd they are the first that were freed, each in a page of its own, some 500 KiB a worker. A thread gives them up when it
 * ends. So each worker takes what it has been kept (trim_take()), and a thread that lives for that alone frees it
 * (trim_give()). Thread: the main thread's loop, unless said otherwise. */
#ifndef PROXY_TRIM_H
#define PROXY_TRIM_H

struct event_base;
struct server;
struct trim;

/* Settings of malloc() for this process: large blocks go back to the system at once. Before any thread starts. */
void trim_set_up(void);

/* The blocks that malloc() keeps for the calling thread, as a chain for trim_give(), or NULL: up to 250 KB, for a second. Thread:
 * any. */
void *trim_take(void);
/* Frees the blocks of a chain (or NULL) in a thread that ends, and waits for it. Thread: not a loop's that serves. */
void trim_give(void *chain);

/* NULL: out of memory; then nothing is trimmed. */
struct trim *trim_open(struct event_base *base, struct server *server);
void trim_close(struct trim *t); /* t may be NULL */

#endif
