/* proxy/import/import.h - rules of other tools become rules of ours.
 *
 * A reader of a tool's format (import_gitleaks.c, import_noseyparker.c, import_presidio.c) makes an import_rule of each of its
 * rules; import_add() translates the pattern, tries whether the rule compiles and finds its examples, and writes it as YAML.
 * What cannot be carried over is left out, with the reason; what is carried over with a difference gets a note. One thread. */
#ifndef PROXY_IMPORT_H
#define PROXY_IMPORT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "dlp/dlp.h"

/* A rule as its tool says it; all pointers live until the run ends. Zeroes: not said. */
struct import_rule {
    const char *prefix;   /* of the id */
    struct gw_span id;    /* as the tool names it */
    struct gw_span title; /* one line */
    struct gw_span type;  /* of findings: upper-case words, or empty */
    const char *class_;   /* "secret", "pii" */
    struct gw_span pattern;
    unsigned secret_group;
    double entropy;              /* bits a character; 0: none */
    unsigned confidence;         /* 0: by the pattern's form */
    const struct gw_span *words; /* context, each worth boost */
    unsigned n_words;
    int boost;
    struct gw_span lang;
    const struct gw_span *rejects; /* words and globs */
    unsigned n_rejects;
    const struct gw_span *match, *no_match;
    unsigned n_match, n_no_match;
    const char *left_out; /* why it cannot be carried over; NULL: it may be */
};

/* Called once for each rule: note is empty or what is different; reason is NULL or why it was left out. */
typedef void (*import_report_fn)(void *ctx, struct gw_span id, const char *note,
                                 const char *reason);

struct import_run {
    struct gw_arena *arena;
    struct dlp_scanner *scanner;
    const char *trial; /* a file that may be written and read */
    struct gw_buf yaml;
    struct gw_buf notes; /* on the rule at hand; readers may begin it */
    unsigned n_carried, n_left;
    import_report_fn report;
    void *ctx;
};

/* GW_OK also when the rule was left out; GW_EIO, GW_ENOMEM end the run. */
enum gw_status import_add(struct import_run *x, const struct import_rule *r, struct gw_err *err);

/* Read one file's text, call import_add() for each rule. GW_EPARSE, GW_EINVAL: not a file of that tool. */
enum gw_status import_gitleaks(struct import_run *x, struct gw_span text, const char *name,
                               struct gw_err *err);
enum gw_status import_noseyparker(struct import_run *x, struct gw_span text, const char *name,
                                  struct gw_err *err);
enum gw_status import_presidio(struct import_run *x, struct gw_span text, const char *name,
                               struct gw_err *err);

/* Appends to the notes on the rule at hand. */
void import_note(struct import_run *x, const char *fmt, ...) GW_PRINTF(2, 3);

#endif
