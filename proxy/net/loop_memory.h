/* proxy/net/loop_memory.h - memory of the event loops, with a reserve for small blocks.
 *
 * libevent 2.1 does not survive everywhere that a small block is refused: bufferevent_setwatermark() writes through the
 * NULL it then has. So its small blocks have a reserve behind malloc(), and while much of that is in use no connection is
 * accepted. Large blocks (the bytes of buffers) fail as always: those failures libevent reports. Thread: any. */
#ifndef PROXY_LOOP_MEMORY_H
#define PROXY_LOOP_MEMORY_H

#include <stdbool.h>

/* Gives libevent this memory. To be called once, before any other call of libevent. */
void loop_memory_install(void);

/* Blocks of the reserve in use; 0 as long as malloc() gives memory. */
unsigned loop_memory_used(void);

/* True: a quarter of the reserve is in use, take on nothing new. */
bool loop_memory_low(void);

#endif
