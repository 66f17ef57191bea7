/* audit/kafka_tsan.h - lets ThreadSanitizer live with librdkafka; only audit/kafka_producer.c includes it,
 * and only in builds with SAN=thread.
 *
 * Debian's librdkafka starts its threads with C11's thrd_create(), which TSan does not intercept: a
 * thread that it has never seen crashes in its first intercepted call. These stand-ins go through
 * pthreads. The library itself is not instrumented, so what it does inside is not judged. */
#ifndef AUDIT_KAFKA_TSAN_H
#define AUDIT_KAFKA_TSAN_H

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

struct start {
    thrd_start_t run;
    void *arg;
};

static void *enter(void *arg)
{
    struct start s = *(struct start *)arg;

    free(arg);
    return (void *)(intptr_t)s.run(s.arg);
}

__attribute__((visibility("default"))) int thrd_create(thrd_t *t, thrd_start_t run, void *arg)
{
    struct start *s = malloc(sizeof(*s));

    if (s == NULL)
        return thrd_nomem;
    *s = (struct start){run, arg};
    if (pthread_create(t, NULL, enter, s) == 0)
        return thrd_success;
    free(s);
    return thrd_error;
}

__attribute__((visibility("default"))) int thrd_join(thrd_t t, int *result)
{
    void *value = NULL;

    if (pthread_join(t, &value) != 0)
        return thrd_error;
    if (result != NULL)
        *result = (int)(intptr_t)value;
    return thrd_success;
}

const char *__tsan_default_suppressions(void); // NOLINT(bugprone-reserved-identifier): TSan's name

__attribute__((visibility("default"))) const char *__tsan_default_suppressions(
    void) // NOLINT(bugprone-reserved-identifier)
{
    return "called_from_lib:librdkafka.so\n";
}

#endif
