/* engine/hugemem.h - large zeroed memory on huge pages, taken from the system only when touched. */
#ifndef ENGINE_HUGEMEM_H
#define ENGINE_HUGEMEM_H

#include <stddef.h>

/* Reserves bytes (above 0), aligned to 2 MiB, advised for huge pages. NULL when the system refuses. Give
 * back with hugemem_free and the same size. Thread: any. */
void *hugemem_new(size_t bytes);
void hugemem_free(void *mem, size_t bytes); /* mem may be NULL */

#endif
