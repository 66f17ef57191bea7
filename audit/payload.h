/* audit/payload.h - what the writer needs of the store of subjects' keys. */
#ifndef AUDIT_PAYLOAD_H
#define AUDIT_PAYLOAD_H

#include "audit/audit.h"

/* Syncs keys that were appended since the last call, so that no durable record needs one that is not. p may be NULL. A
 * failure is logged: the texts may then be lost with the machine's power, and nothing else is. Thread: the writer's. */
void payload_sync(struct audit_payload *p);

/* Destroys keys that have grown too old, when it is time to look for them. p may be NULL. A failure is logged, and tried again the next
 * time. Thread: the writer's. */
void payload_tidy(struct audit_payload *p, int64_t now_ms);

#endif
