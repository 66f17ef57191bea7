/* proxy/request/roles.h - where in a request a text stands: whose words it is. Pure; any thread.
 *
 * The dialects name their members differently, but none gives a name to something that another one uses for somebody else's
 * words, so one table reads all of them. What it does not know is `other`. */
#ifndef PROXY_ROLES_H
#define PROXY_ROLES_H

#include "base/arena.h"
#include "base/json_tree.h"
#include "router/router.h"

struct roles;

/* Reads them off a request's tree, which must outlive the result; lives in arena. NULL: out of memory. */
struct roles *roles_new(struct gw_arena *arena, const struct gw_json_node *root);

/* Whose words the byte of the body is. */
enum router_field roles_at(const struct roles *f, const char *byte);

#endif
