/* proxy/cmd/cmd_dlp_scan.h - what the parts of `sluice dlp scan` share. */
#ifndef PROXY_CMD_DLP_SCAN_H
#define PROXY_CMD_DLP_SCAN_H

#include <stdio.h>

#include "dlp/dlp.h"

enum cmd_dlp_format { CMD_DLP_TEXT, CMD_DLP_JSON, CMD_DLP_SARIF };

/* One finding in a file, as it is shown. */
struct cmd_dlp_finding {
    const char *file;
    unsigned line, column; /* from 1; columns count characters; 0: not known */
    uint64_t start, end;   /* bytes in the file */
    struct gw_span path;   /* JSON pointer of a document's leaf, or empty */
    struct gw_span value;  /* shown masked only */
    uint32_t rule;
    uint8_t confidence, view;
};

/* What was scanned, for the last line. */
struct cmd_dlp_totals {
    uint64_t n_files, n_bytes, n_binary, n_unreadable, n_findings, n_failing, n_allowed;
    double seconds;
};

/* Writes findings as they come. Zeroed but for format, out and rules is ready; seen is owned until cmd_dlp_end. */
struct cmd_dlp_out {
    enum cmd_dlp_format format;
    FILE *out;
    const struct dlp_rules *rules;
    unsigned *seen; /* SARIF: index + 1 in its list of rules, of each rule */
    unsigned n_seen;
    uint64_t n_results;
};

/* Begins the output. GW_ENOMEM. */
enum gw_status cmd_dlp_begin(struct cmd_dlp_out *o);
void cmd_dlp_put(struct cmd_dlp_out *o, const struct cmd_dlp_finding *f);
void cmd_dlp_end(struct cmd_dlp_out *o, const struct cmd_dlp_totals *t);

/* What scans files. report: called for each finding, ascending by place in a file. */
struct cmd_dlp_scanner {
    struct dlp_rules *rules;
    unsigned min_confidence;
    void (*report)(void *ctx, const struct cmd_dlp_finding *f);
    void *ctx;
    struct cmd_dlp_totals *totals;
    /* Owned; made by cmd_dlp_scan_open, freed by cmd_dlp_scan_close. */
    struct dlp_scanner *scanner;
    struct gw_arena *arena;
    char *window;
    struct gw_buf path;
};

enum gw_status cmd_dlp_scan_open(struct cmd_dlp_scanner *s);
void cmd_dlp_scan_close(struct cmd_dlp_scanner *s);

/* Scans what fd gives, which may be without end: memory is bounded. A text that is JSON, or JSON Lines by its name, is scanned
 * as documents. False after a message when it could not be read or scanned. */
bool cmd_dlp_scan_fd(struct cmd_dlp_scanner *s, const char *name, int fd);

/* What a gateway's configuration says about findings. path NULL: as cmd_config_load(). NULL after a message. */
struct cmd_dlp_gateway;
struct cmd_dlp_gateway *cmd_dlp_gateway_open(const char *path);
void cmd_dlp_gateway_close(struct cmd_dlp_gateway *g); /* g may be NULL */
/* Its rules; the caller owns a reference. */
enum gw_status cmd_dlp_gateway_rules(const struct cmd_dlp_gateway *g, struct dlp_rules **out,
                                     struct gw_err *err);
/* The confidence from which it reports. */
unsigned cmd_dlp_gateway_report_from(const struct cmd_dlp_gateway *g);
/* True when an entry of its allowlist, which may not ask for a caller, says that this is no finding. */
bool cmd_dlp_gateway_allows(const struct cmd_dlp_gateway *g, const struct dlp_rules *rules,
                            const struct cmd_dlp_finding *f);

/* The names and contents of what is staged in the git repository around the working directory. each gets an open descriptor,
 * which it leaves open. 0, or an exit status after a message. */
int cmd_dlp_staged(int (*each)(void *ctx, const char *name, int fd), void *ctx);

#endif
