/* proxy/cmd/cmd_dlp.h - the parts of `sluice dlp`. argv[0] is the part's name; exit statuses as in cmd.h. */
#ifndef PROXY_CMD_DLP_H
#define PROXY_CMD_DLP_H

int cmd_dlp_allow(int argc, char **argv);
int cmd_dlp_scan(int argc, char **argv);

#endif
