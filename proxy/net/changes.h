/* proxy/net/changes.h - changes of keys become audit records: the store thread calls, and waits until each is durable.
 *
 * The command line cannot write the ledger (one process has the spool), so it writes a row into the keys database in the
 * transaction of its change; the gateway that runs, or the next one that starts, makes the record (store.h K5). */
#ifndef PROXY_CHANGES_H
#define PROXY_CHANGES_H

#include "audit/audit.h"
#include "base/err.h"
#include "proxy/store/store.h"

struct changes;

/* Takes one channel of audit and begins to record. Thread: main. */
enum gw_status changes_open(struct audit *audit, struct proxy_store *store, struct changes **out,
                            struct gw_err *err);
/* Ends it; what has no record yet keeps its row. Before audit_close(). c may be NULL. */
void changes_close(struct changes *c);

#endif
