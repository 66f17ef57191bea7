/* base/banned.h - libc calls that do not compile here (included by the compiler's -include). */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

/* System headers declare these names, so they must be seen before the names are poisoned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* No bound on the destination: use snprintf, memcpy with a checked length, or struct gw_buf. */
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets stpcpy
/* Hidden static state: use the _r variants. */
#pragma GCC poison strtok localtime gmtime ctime asctime
/* No error reporting: use strtol and friends, checked. */
#pragma GCC poison atoi atol atoll atof

#endif
