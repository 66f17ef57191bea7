/* proxy/api/api_gemini_read.h - the two halves of the reader of generateContent requests. Pure; any thread. */
#ifndef PROXY_API_GEMINI_READ_H
#define PROXY_API_GEMINI_READ_H

#include "proxy/api/api_gemini.h"

/* Paths are made of our own names and of counters, and cut when they do not fit. */
enum { GEMINI_PATH_BYTES = 160 };

/* Sorts the members of an object: out[i] is the one of names[i], NULL when it is missing or null. Notes those of other
 * names as unknown and those that are there in both spellings as bad; prefix ("tools[0].") is their path. False: out of
 * memory. */
bool gemini_pick(struct api_reading *r, const struct gw_json_node *object, const char *const *names,
                 unsigned n, const struct gw_json_node **out, const char *prefix);

/* The decoded text of a string; {NULL, 0} with a note for anything else, and when it is missing. */
struct gw_span gemini_text(struct api_reading *r, const struct gw_json_node *node,
                           const char *prefix, const char *name);

/* True when node is an object; noted as bad when it is something else. */
bool gemini_is_object_or_bad(struct api_reading *r, const struct gw_json_node *node,
                             const char *path);

/* api_gemini_parts.c. False: out of memory. */
bool gemini_read_system(struct api_reading *r, const struct gw_json_node *node);
bool gemini_read_contents(struct api_reading *r, const struct gw_json_node *list);

#endif
