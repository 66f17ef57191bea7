/* engine/grammar_cache.h - grammars that were made before, by what they were made of.
 *
 * A client sends the same schema with each request. Whoever asks again gets the same grammar, and with it the masks that
 * the engines keep for it (mask.h): both are found by the grammar's number. Grammars are shared within a scope (a tenant)
 * only: how fast a format is made would otherwise tell one tenant what another has asked for.
 *
 * Only hashes of what clients sent are kept beside the grammars. Memory is bounded: what was not asked for longest goes, and
 * what takes more than a quarter of the room is not kept at all, so a crowd of schemas costs the time to make them and no
 * more. A grammar that goes lives on as long as requests hold it. Thread: any. */
#ifndef ENGINE_GRAMMAR_CACHE_H
#define ENGINE_GRAMMAR_CACHE_H

#include "engine/engine.h"

struct grammar_cache;

/* NULL: out of memory. max_bytes: of the grammars that are kept, and what belongs to them. */
struct grammar_cache *grammar_cache_new(size_t max_bytes);
void grammar_cache_free(struct grammar_cache *c); /* c may be NULL; nobody uses it any more */

/* As engine_grammar_get, which asks the cache of the process. */
enum gw_status grammar_cache_get(struct grammar_cache *c, const struct engine_format *format,
                                 struct gw_span scope, struct engine_grammar **out,
                                 struct gw_err *err);
void grammar_cache_stats(struct grammar_cache *c, struct engine_grammar_stats *out);

#endif
