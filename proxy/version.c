/* proxy/version.c - the one file that is compiled again when the version changes. */
#include "proxy/version.h"

const char *sluice_version(void)
{
    return SLUICE_VERSION;
}
