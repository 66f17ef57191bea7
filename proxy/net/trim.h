/* proxy/net/trim.h - memory goes back to the system when a crowd has left.
 *
 * malloc() keeps what was freed between what is in use: after ten thousand connections nearly all of their memory would stay.
 * Each second the number of connections and the memory held for requests are compared with their highest values since the
 * last trim; when both are below a half of one that was worth it, malloc_trim() gives back the free pages of all threads. It
 * takes their locks for some milliseconds, so it waits until few requests run. Thread: the main thread's loop. */
#ifndef PROXY_TRIM_H
#define PROXY_TRIM_H

struct event_base;
struct server;
struct trim;

/* Settings of malloc() for this process: large blocks go back to the system at once. Before any thread starts. */
void trim_set_up(void);

/* NULL: out of memory; then nothing is trimmed. */
struct trim *trim_open(struct event_base *base, struct server *server);
void trim_close(struct trim *t); /* t may be NULL */

#endif
