/* proxy/answer/translate.h - an answer as events on its way to a client of another dialect: filtered, then written.
 *
 * The events come from a provider's answer (api_reader) or from the local engine. Each growing text passes a filter of
 * its own, so that what is found and restored does not depend on how the text was cut. Thread: the worker's. */
#ifndef PROXY_TRANSLATE_H
#define PROXY_TRANSLATE_H

#include "proxy/answer/filter.h"
#include "proxy/api/api.h"

struct translate;

/* What the record wants to know; kept up to date as events pass. */
struct translate_seen {
    struct api_usage usage;
    enum api_finish finish; /* of the first choice */
    struct gw_span model;   /* as the target says; valid as long as the translation */
    bool ended, failed;     /* END, ERROR passed */
    unsigned status;        /* of the failure */
    uint64_t text_bytes;    /* of all pieces, as the target sent them */
};

/* writer: see api_writer_new(). filter NULL: texts pass as they are; else it must outlive the translation. NULL: out of
 * memory. */
struct translate *translate_new(const struct api_writer_config *writer,
                                const struct filter_config *filter);
void translate_free(struct translate *t); /* wipes; t may be NULL */

/* Passes one event; appends what the client gets. GW_EDENIED: policy blocks the answer, whose end the caller writes with
 * an ERROR event; GW_ENOMEM, GW_ELIMIT, GW_EINVAL (events out of order: a defect of the reader). */
enum gw_status translate_put(struct translate *t, const struct api_event *ev, struct gw_buf *out);

/* Bytes that filters hold back, and letting them go (a timer's decision). */
size_t translate_held(const struct translate *t);
enum gw_status translate_release(struct translate *t, struct gw_buf *out);

const struct translate_seen *translate_seen(const struct translate *t);
unsigned translate_restored(const struct translate *t);
const char *translate_media_type(const struct translate *t);

#endif
