/* proxy/local.h - the engine in this process as a backend (backend_engine): no socket is opened. */
#ifndef PROXY_LOCAL_H
#define PROXY_LOCAL_H

struct worker;

/* The engine of that target has events for this worker. */
void local_dispatch(struct worker *w, unsigned target);

#endif
