/* proxy/core_dumps.h - whether a crash may leave the memory of this process behind: it holds prompts and keys. Main thread. */
#ifndef PROXY_CORE_DUMPS_H
#define PROXY_CORE_DUMPS_H

#include <stdbool.h>

/* No core file, no debugger of the same user, /proc/PID/mem for root alone. The first thing that a gateway does. */
void core_dumps_off(void);

/* What the configuration says: allowed as before core_dumps_off(), or off for good. */
void core_dumps_allow(bool allow);

#endif
