/* engine/folder.h - the small files of a model that is a folder. */
#ifndef ENGINE_FOLDER_H
#define ENGINE_FOLDER_H

#include <stddef.h>

#include "base/buf.h"

enum { FOLDER_PATH_BYTES = 4096 };

/* Writes FOLDER/NAME to out. GW_ELIMIT when it does not fit. */
enum gw_status folder_path(const char *folder, const char *name, char out[FOLDER_PATH_BYTES],
                           struct gw_err *err);

/* Reads the file FOLDER/NAME, a regular one of at most max bytes, into *out (empty before; the caller's on
 * success: gw_buf_fini). GW_ENOENT, GW_EINVAL, GW_ELIMIT, GW_EIO, GW_ENOMEM. Blocks. Thread: any. */
enum gw_status folder_read(const char *folder, const char *name, size_t max, struct gw_buf *out,
                           struct gw_err *err);

#endif
