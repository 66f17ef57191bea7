/* proxy/net/sweep.h - what requests leave on a thread's stack is wiped, a little after they ended: dead frames hold parts of
 * them until other calls write over. (What they leave in buffers is wiped where it is given back.) Thread: the worker's. */
#ifndef PROXY_SWEEP_H
#define PROXY_SWEEP_H

#include <stdbool.h>

struct worker;

/* GW_ENOMEM as false. */
bool sweep_open(struct worker *w);
void sweep_close(struct worker *w);

/* A request ended, or a connection: sweeps within SWEEP_MS, once for all that end meanwhile. */
enum { SWEEP_MS = 20 };
void sweep_soon(struct worker *w);

#endif
