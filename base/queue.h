/* base/queue.h - bounded queue between threads, with an eventfd for the reader's event loop.
 *
 * Invariants: (Q1) a queue never grows: a full queue is an answer for the sender, never a wait;
 * (Q2) the eventfd is readable whenever the queue is not empty and the reader has not been told;
 * (Q3) items are opaque fixed-size values copied in and out, in order, per queue FIFO.
 * Any number of senders and readers. */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct gw_queue;

/* Creates a queue for `capacity` items of item_bytes each, both above 0. Returns NULL when memory or
 * descriptors are exhausted. Release with gw_queue_free(). */
struct gw_queue *gw_queue_new(size_t capacity, size_t item_bytes);

/* Frees the queue and closes its descriptor; items still inside are dropped. q may be NULL. */
void gw_queue_free(struct gw_queue *q);

/* Gives the eventfd back: all readers use gw_queue_wait() or gw_queue_pop(), and senders save a system call. Before q is shared. */
void gw_queue_silence(struct gw_queue *q);

/* Copies *item in. Returns GW_OK; GW_EAGAIN when full; GW_ECANCELED after gw_queue_close(). */
enum gw_status gw_queue_push(struct gw_queue *q, const void *item);

/* Copies the oldest item out without waiting. GW_EAGAIN when empty. */
enum gw_status gw_queue_pop(struct gw_queue *q, void *item);

/* The same, waiting at most timeout_ms (negative: for ever). GW_ETIMEDOUT; GW_ECANCELED when closed
 * and empty. Not for event loops. */
enum gw_status gw_queue_wait(struct gw_queue *q, void *item, int timeout_ms);

/* Refuses later pushes and wakes all waiters; what is inside can still be popped. */
void gw_queue_close(struct gw_queue *q);

/* The non-blocking eventfd to watch for reading. On readiness call gw_queue_ack() once, then pop until
 * GW_EAGAIN. */
int gw_queue_fd(const struct gw_queue *q);
void gw_queue_ack(struct gw_queue *q);

#endif
