/* proxy/cmd/cmd_keys.h - how `sluice keys` shows keys and changes. One thread. */
#ifndef PROXY_CMD_KEYS_H
#define PROXY_CMD_KEYS_H

#include <stdbool.h>

/* Each prints to standard output and returns the exit status. db: path of the database. */
int cmd_keys_list(const char *db, bool json);
int cmd_keys_show(const char *db, const char *id_or_name, bool json);
int cmd_keys_log(const char *db, unsigned max, bool json);

#endif
