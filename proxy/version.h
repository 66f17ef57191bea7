/* proxy/version.h - what this binary is. */
#ifndef PROXY_VERSION_H
#define PROXY_VERSION_H

/* "0.1.0"; set by the Makefile. */
const char *sluice_version(void);

#endif
