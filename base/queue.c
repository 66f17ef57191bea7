/* base/queue.c - a ring under a mutex; the eventfd is written only on empty -> non-empty. */
#include "base/queue.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct gw_queue {
    pthread_mutex_t lock;
    pthread_cond_t nonempty;
    unsigned char *items; /* ring of capacity * item_bytes */
    size_t capacity, item_bytes;
    size_t head, len; /* items; guarded by lock */
    unsigned waiters; /* threads in gw_queue_wait */
    int fd;
    bool closed;
};

struct gw_queue *gw_queue_new(size_t capacity, size_t item_bytes)
{
    struct gw_queue *q = calloc(1, sizeof(*q));
    pthread_condattr_t attr;

    if (q == NULL)
        return NULL;
    q->capacity = capacity;
    q->item_bytes = item_bytes;
    q->items = calloc(capacity, item_bytes);
    q->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    (void)pthread_mutex_init(&q->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&q->nonempty, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (q->items == NULL || q->fd < 0) {
        gw_queue_free(q);
        return NULL;
    }
    return q;
}

void gw_queue_silence(struct gw_queue *q)
{
    (void)close(q->fd);
    q->fd = -1;
}

void gw_queue_free(struct gw_queue *q)
{
    if (q == NULL)
        return;
    if (q->fd >= 0)
        (void)close(q->fd);
    (void)pthread_cond_destroy(&q->nonempty);
    (void)pthread_mutex_destroy(&q->lock);
    free(q->items);
    free(q);
}

static void ring_bell(struct gw_queue *q)
{
    const uint64_t one = 1;

    while (q->fd >= 0 && write(q->fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

enum gw_status gw_queue_push(struct gw_queue *q, const void *item)
{
    enum gw_status st = GW_OK;
    bool was_empty = false, is_awaited = false;

    (void)pthread_mutex_lock(&q->lock);
    if (q->closed) {
        st = GW_ECANCELED;
    } else if (q->len == q->capacity) {
        st = GW_EAGAIN;
    } else {
        size_t at = (q->head + q->len) % q->capacity;

        memcpy(q->items + at * q->item_bytes, item, q->item_bytes);
        was_empty = q->len++ == 0;
        is_awaited = q->waiters != 0;
    }
    (void)pthread_mutex_unlock(&q->lock);
    /* Who is woken finds the lock free. */
    if (is_awaited)
        (void)pthread_cond_signal(&q->nonempty);
    if (was_empty)
        ring_bell(q);
    return st;
}

static void take(struct gw_queue *q, void *item)
{
    memcpy(item, q->items + q->head * q->item_bytes, q->item_bytes);
    q->head = (q->head + 1) % q->capacity;
    q->len--;
}

enum gw_status gw_queue_pop(struct gw_queue *q, void *item)
{
    enum gw_status st = GW_EAGAIN;

    (void)pthread_mutex_lock(&q->lock);
    if (q->len != 0) {
        take(q, item);
        st = GW_OK;
    }
    (void)pthread_mutex_unlock(&q->lock);
    return st;
}

enum gw_status gw_queue_wait(struct gw_queue *q, void *item, int timeout_ms)
{
    enum gw_status st = GW_OK;
    struct timespec until;
    int rc = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    if (timeout_ms > 0) {
        until.tv_sec += timeout_ms / 1000;
        until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
    }
    (void)pthread_mutex_lock(&q->lock);
    q->waiters++;
    while (q->len == 0 && !q->closed && rc == 0) {
        if (timeout_ms < 0)
            rc = pthread_cond_wait(&q->nonempty, &q->lock);
        else
            rc = pthread_cond_timedwait(&q->nonempty, &q->lock, &until);
    }
    q->waiters--;
    if (q->len != 0)
        take(q, item);
    else
        st = q->closed ? GW_ECANCELED : GW_ETIMEDOUT;
    (void)pthread_mutex_unlock(&q->lock);
    return st;
}

void gw_queue_close(struct gw_queue *q)
{
    (void)pthread_mutex_lock(&q->lock);
    q->closed = true;
    (void)pthread_cond_broadcast(&q->nonempty);
    (void)pthread_mutex_unlock(&q->lock);
    ring_bell(q);
}

int gw_queue_fd(const struct gw_queue *q)
{
    return q->fd;
}

void gw_queue_ack(struct gw_queue *q)
{
    uint64_t n;

    while (read(q->fd, &n, sizeof(n)) < 0 && errno == EINTR)
        continue;
}
