/* proxy/net/address.h - which addresses an intercepted name may lead to. Pure; any thread.
 *
 * A name that the client chose may resolve to anything. Loopback, private, link-local (cloud metadata),
 * carrier NAT, multicast, unspecified and reserved ranges are refused, also in their IPv6 forms
 * (::ffff:a.b.c.d, 64:ff9b::/96, 6to4), unless the configuration lists them. */
#ifndef PROXY_ADDRESS_H
#define PROXY_ADDRESS_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/config/config.h"

/* True for an address of the public internet. */
bool address_is_public(const struct sockaddr *sa);

/* True when sa lies in one of the ranges. */
bool address_in(const struct sockaddr *sa, const struct proxy_config_nets *nets);

/* Writes "192.0.2.1" or "2001:db8::1" and sets *port. */
void address_text(const struct sockaddr *sa, char *out, size_t size, uint16_t *port);

#endif
