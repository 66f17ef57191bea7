/* proxy/cmd/notify.h - tells systemd how the service is: a datagram to $NOTIFY_SOCKET (sd_notify(3)'s protocol), nothing
 * without one. Main thread. */
#ifndef PROXY_NOTIFY_H
#define PROXY_NOTIFY_H

#include <stdbool.h>

/* state: "READY=1", "STOPPING=1", lines as sd_notify() has them. False: there is a socket and it took nothing. */
bool notify_systemd(const char *state);

#endif
