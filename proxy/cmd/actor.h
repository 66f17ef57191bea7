/* proxy/cmd/actor.h - who runs a command, for the record of what it changes. One thread. */
#ifndef PROXY_CMD_ACTOR_H
#define PROXY_CMD_ACTOR_H

#include <stddef.h>

/* "os:root (login ann)": the account that runs the command, and who logged in when that is another one. */
void cmd_actor(char *out, size_t size);

#endif
