/* base/err.h - the one error convention.
 *
 * Fallible functions return enum gw_status, 0 is success; out-parameters are unchanged on failure.
 * The message for a human lives in a struct gw_err that the caller passes down (NULL: not wanted);
 * only the top of the call stack logs it, once. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

#define GW_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum gw_status {
    GW_OK = 0,
    GW_EINVAL,       /* an argument or input that can never be right */
    GW_EPARSE,       /* input bytes that do not follow their format */
    GW_ENOMEM,       /* out of memory */
    GW_ELIMIT,       /* a configured or built-in limit was reached */
    GW_EIO,          /* the operating system refused: errno is in the message */
    GW_ENOENT,       /* not there */
    GW_EEXIST,       /* already there */
    GW_EDENIED,      /* forbidden by policy or permission */
    GW_EAGAIN,       /* not now: full queue, no data yet */
    GW_ECANCELED,    /* the caller or the client withdrew */
    GW_ETIMEDOUT,    /* a deadline passed */
    GW_ECORRUPT,     /* stored data fails its checksum or its invariants */
    GW_EUNSUPPORTED, /* understood, but not built in */
};

/* A status with the sentence that explains it: what, where, and what to do. */
struct gw_err {
    enum gw_status code;
    char text[320]; /* always NUL-terminated; never holds payload bytes or secrets */
};

/* Returns the stable lower-case name of st ("ok", "limit", ...); never NULL. */
const char *gw_status_name(enum gw_status st);

/* Fills *err (when not NULL) with code and the formatted text and returns code, so that a caller can
 * write `return gw_fail(err, GW_EPARSE, "...")`. Thread: any. */
enum gw_status gw_fail(struct gw_err *err, enum gw_status code, const char *fmt, ...)
    GW_PRINTF(3, 4);

/* Puts "prefix: " in front of the text that err already holds. Returns err->code, GW_EINVAL when err
 * is NULL. */
enum gw_status gw_fail_prefix(struct gw_err *err, const char *fmt, ...) GW_PRINTF(2, 3);

/* Evaluates a fallible call and returns its status from the calling function when it failed. */
#define GW_TRY(call)                                                                               \
    do {                                                                                           \
        enum gw_status gw_try_st_ = (call);                                                        \
        if (gw_try_st_ != GW_OK)                                                                   \
            return gw_try_st_;                                                                     \
    } while (0)

#endif
