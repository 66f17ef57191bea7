/* proxy/net/clients.h - who is connected, and what each holds: connections, and memory for requests and answers.
 *
 * A client is an address: an IPv4 address, or an IPv6 network of 64 bits, which is what one household or machine has. Caps
 * for each and for all are given by the caller, who knows the configuration of the moment; nothing is taken beyond them.
 *
 * What is counted is memory that grows with what others send: bodies, their decoded and edited forms, collected answers. A
 * request takes before it reads or makes them and gives back when it ends. Invariants: (C1) a client that holds anything
 * exists; (C2) what all hold is the sum of what each holds. Thread: any. */
#ifndef PROXY_CLIENTS_H
#define PROXY_CLIENTS_H

#include <sys/socket.h>

#include <stdint.h>

struct clients;
struct client;

struct clients *clients_new(void); /* NULL: out of memory */
/* All clients must have left. all may be NULL. */
void clients_free(struct clients *all);

/* Counts one connection from sa, and returns its client; client_leave() when the connection is gone. max: connections of
 * one client; 0: any. NULL: it has as many, or there is no memory. */
struct client *client_come(struct clients *all, const struct sockaddr *sa, unsigned max);
void client_leave(struct client *c); /* c may be NULL */

/* The most that may be held, in bytes; 0: no limit. */
struct clients_caps {
    uint64_t one, all;
};

enum client_verdict {
    CLIENT_MAY,
    CLIENT_HAS_ENOUGH, /* this client holds too much: 429 */
    CLIENTS_FULL,      /* all together do: 503 */
};

/* Takes bytes, or nothing. */
enum client_verdict client_take(struct client *c, uint64_t bytes, struct clients_caps caps);
void client_give(struct client *c, uint64_t bytes);

uint64_t clients_memory(const struct clients *all); /* bytes held now */

/* Half of the memory that this process may use: the machine's, or its control group's. Reads files. */
uint64_t clients_half_of_memory(void);

#endif
