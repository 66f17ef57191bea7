/* proxy/limits/limits_script.h - a step as a command for Redis, and what its answer says. Pure but for the counters' own
 * notes; worker's thread.
 *
 * A counter is a hash "PREFIX:budget:NAME@START": `u` is what was used, every other field what one connection holds, under
 * that connection's name. A connection lives as long as its key "PREFIX:alive:NAME" does. */
#ifndef PROXY_LIMITS_SCRIPT_H
#define PROXY_LIMITS_SCRIPT_H

#include "base/buf.h"
#include "proxy/limits/limits_private.h"

struct redisReply;

/* Lua: all changes of a step, or none. Returns {1 or 0, index of the refused one, then for each counter: used, held by
 * others, held by this connection}. */
extern const char limits_script[];

/* Appends the command that carries out the step, with what is owed to Redis (ledger_owed()); a step that is not sent owes
 * it again (limits_script_untold()). sha: of the loaded script; id: the connection's name. */
void limits_script_write(struct gw_buf *out, struct ledger *l, struct limits_step *step,
                         const char *prefix, const char *sha, const char *id);

/* Nobody knows whether Redis heard of the step: what was said with it is owed again. */
void limits_script_untold(struct ledger *l, struct limits_step *step);

/* Reads the answer: fills in left of each change and notes what the counters hold. GW_OK; GW_EDENIED: step->refused;
 * GW_EPARSE: it is no such answer, and nothing was noted. */
enum gw_status limits_script_read(struct ledger *l, struct limits_step *step,
                                  const struct redisReply *reply);

#endif
