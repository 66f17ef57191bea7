/* proxy/dirs.h - makes folders for state. Not for event loops. */
#ifndef PROXY_DIRS_H
#define PROXY_DIRS_H

#include "base/err.h"

/* Makes path and its parents with mode 0700, as far as they are missing. GW_EIO names the one that failed. */
enum gw_status dirs_make(const char *path, struct gw_err *err);

#endif
