/* proxy/net/health_probe.h - asks the servers of targets with `health:` whether they are well.
 *
 * One worker does it for all (worker 0): each endpoint is asked at its interval, one probe at a time, on a connection of
 * its own, with GET and without the target's key: these paths need none. 200 to 299 within the timeout is well, anything
 * else is not. What is found is in health.h. Thread: that worker's. */
#ifndef PROXY_HEALTH_PROBE_H
#define PROXY_HEALTH_PROBE_H

struct prober;
struct worker;

struct prober *prober_new(struct worker *w); /* NULL: out of memory */
void prober_free(struct prober *p);          /* ends what runs; p may be NULL */

#endif
