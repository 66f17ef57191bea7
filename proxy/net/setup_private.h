/* proxy/net/setup_private.h - what setup.c has done elsewhere. */
#ifndef PROXY_SETUP_PRIVATE_H
#define PROXY_SETUP_PRIVATE_H

#include "base/digest.h"
#include "proxy/net/setup.h"

/* Sets s->rules: built in, built from sources, or from a built object. like: see setup_open(). */
enum gw_status setup_open_rules(struct setup *s, const struct setup *like, struct gw_err *err);

#endif
