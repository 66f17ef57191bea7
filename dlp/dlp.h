/* dlp/dlp.h - finds what may not leave, hides it in the bytes that do, and puts it back in the answer.
 *
 * The order of a request: dlp_doc_parse() turns the body into leaves (every string, key and number,
 * decoded, with a map back to the bytes); dlp_scan() returns findings on leaves; the caller decides an
 * action for each; dlp_doc_edit() splices the edits into the received bytes and fills a vault;
 * dlp_restorer puts the tokenized values back into the answer, streamed or whole.
 *
 * Invariants: (D1) scanned contains forwarded: every byte of text in the body belongs to a leaf that
 * was scanned, or the parse failed; (D2) an edit changes no byte outside its span; (D3) a value is kept
 * nowhere but in the vault, which is wiped; (D4) a failure is a status, never "no findings".
 *
 * Nothing here does I/O but dlp_rules_open(), dlp_rules_build() and dlp_rules_load(). */
#ifndef DLP_DLP_H
#define DLP_DLP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "base/types.h"

/* ---- rules ------------------------------------------------------------------------------ */

/* A compiled, immutable set of rules, shared by all threads through a reference count. */
struct dlp_rules;

/* What a rule's findings are for. */
enum dlp_rule_mode {
    DLP_MODE_ENFORCE, /* policy acts on them */
    DLP_MODE_MONITOR, /* they are recorded and never acted on */
    DLP_MODE_OFF,     /* there are none: the rule is not looked for */
};

/* What is known of one rule; all pointers live as long as the set. */
struct dlp_rule_info {
    const char *id;    /* "aws-access-key-id": stable, in records and policy */
    const char *title; /* for people */
    const char *type;  /* what the placeholder says: "AWS_ACCESS_KEY" */
    const char *file;  /* the YAML file it came from */
    enum gw_class class_;
    enum gw_severity severity;
    unsigned confidence; /* base confidence, 0 to 100 */
    enum dlp_rule_mode mode;
};

/* The rules compiled into the binary. Never NULL; needs no unref. */
struct dlp_rules *dlp_rules_builtin(void);

/* Loads a shared object that dlp_rules_build() made; checks its ABI number and who can have written it. The caller owns one
 * reference. GW_EIO, GW_EDENIED, GW_EUNSUPPORTED with a message. */
enum gw_status dlp_rules_load(const char *so_path, struct dlp_rules **out, struct gw_err *err);
/* An object is code: fails unless the file and its folder belong to the user of this process or to root and nobody else
 * can write there. dlp_rules_load() asks it too. GW_EIO, GW_EDENIED with what to do. */
enum gw_status dlp_rules_check_trust(const char *so_path, struct gw_err *err);

struct dlp_rules_options {
    bool without_examples; /* the caller runs them itself (dlp_rules_selftest()) */
    bool
        without_trial; /* do not scan a megabyte of ordinary text to see whether a rule is too noisy or too slow */
    /* A set that was opened with both: rules that are written the same in it are copied, and not tried again. May be NULL. */
    const struct dlp_rules *earlier;
};

/* Makes rules of what is named, at once: milliseconds, and neither re2c nor a compiler. A path is a rule file, a folder
 * (searched for *.yaml), an object that dlp_rules_build() made, or the word builtin for the rules that are built in. All
 * become one set; a rule with the id of one that is compiled already takes its place. The patterns of files and folders
 * run in an interpreter behind the same prefilter: what is found is the same, and scanning is a little slower. Every
 * example is run first, and a megabyte of ordinary text is scanned: a rule that finds more than 50 things in it at
 * confidence 80, or is too slow, is refused. Those that are built in were tried when they were. o may be NULL. The caller owns one reference. GW_EPARSE, GW_EINVAL with file, line and rule;
 * GW_ENOENT, GW_EIO, GW_EUNSUPPORTED, GW_ELIMIT, GW_ENOMEM. Thread: any. */
enum gw_status dlp_rules_open(const char *const *paths, unsigned n_paths,
                              const struct dlp_rules_options *o, struct dlp_rules **out,
                              struct gw_err *err);

struct dlp_compile {
    const char *
        dir; /* where finished objects are kept by the hash of their source; made when it is not there */
    const atomic_bool *stop;    /* set by another thread: give up; may be NULL */
    unsigned n_shards, n_built; /* out: objects needed, and those that were not in dir */
};

/* Gives the patterns of r that run in the interpreter native matchers, while others may scan with r: what is found stays
 * the same. Rules are spread over small objects, so that a changed rule compiles one; each is made by confined children,
 * compared with the interpreter on the examples, then put in place at once. On failure what was put in place stays, and
 * the interpreter runs the rest. GW_ENOENT: re2c or cc is not installed; GW_ECANCELED; GW_EDENIED: others can write to dir;
 * GW_ECORRUPT; GW_ETIMEDOUT, GW_EIO, GW_ENOMEM. Blocks for seconds. Thread: one at a time per set. */
enum gw_status dlp_rules_compile(struct dlp_rules *r, struct dlp_compile *c, struct gw_err *err);
/* How many patterns run in the interpreter. Thread: any. */
unsigned dlp_rules_interpreted(const struct dlp_rules *r);

struct dlp_rules *dlp_rules_ref(struct dlp_rules *r);
void dlp_rules_unref(struct dlp_rules *r); /* r may be NULL */

unsigned dlp_rules_count(const struct dlp_rules *r);
const struct dlp_rule_info *dlp_rules_info(const struct dlp_rules *r, unsigned i);
/* SHA-256 of the rule sources, hex: the same sources give the same digest. */
const char *dlp_rules_digest(const struct dlp_rules *r);

/* One YAML example that did not do what it says. */
struct dlp_example_failure {
    const char *rule, *file;
    unsigned line;
    bool should_match;
};

struct dlp_build {
    const char *const *paths; /* rule files or folders (searched for *.yaml) */
    unsigned n_paths;
    const char *out_c;  /* write the emitted re2c source here, or NULL */
    const char *out_so; /* build a shared object here (re2c and cc must be installed), or NULL */
};

/* The rule compiler: reads, checks, emits, compiles, and runs every example; with out_so the examples
 * run against the finished object, and a failing one removes it. Errors name file, line and rule. */
enum gw_status dlp_rules_build(const struct dlp_build *build, struct gw_err *err);

/* The digest that the rules of these files and folders have (dlp_rules_digest()), without building them. Reads and checks
 * them as a build does. */
enum gw_status dlp_rules_source_digest(const char *const *paths, unsigned n_paths, char digest[65],
                                       struct gw_err *err);

/* Runs every example of the set's rules (they are compiled in). Calls fail for each one that is wrong
 * and returns how many were. *n_run gets the number run. */
unsigned dlp_rules_selftest(struct dlp_rules *r, unsigned *n_run,
                            void (*fail)(void *ctx, const struct dlp_example_failure *f),
                            void *ctx);

/* ---- single patterns ---------------------------------------------------------------------- */

/* A pattern in the notation of rules, for whole values. */
struct dlp_regex;

/* GW_EPARSE, GW_EINVAL with what is wrong with it; GW_ELIMIT; GW_ENOMEM. */
enum gw_status dlp_regex_new(struct gw_span pattern, struct dlp_regex **out, struct gw_err *err);
void dlp_regex_free(struct dlp_regex *r); /* r may be NULL */
/* Does it match the value from its first to its last byte? Linear. Thread: any. */
bool dlp_regex_is(const struct dlp_regex *r, struct gw_span value);

/* ---- documents -------------------------------------------------------------------------- */

enum dlp_leaf_kind {
    DLP_LEAF_STRING, /* a string value */
    DLP_LEAF_KEY,    /* an object key */
    DLP_LEAF_NUMBER, /* a number's characters as they stand */
    DLP_LEAF_TEXT,   /* the whole input, when it is not JSON (a query string, a multipart part) */
    DLP_LEAF_JOINED, /* adjacent string leaves joined, so that splitting hides nothing; not editable
                        itself: its findings map to the parts. They are made while a document is scanned */
};

/* One piece of text as the reader at the other end will see it. */
struct dlp_leaf {
    struct gw_span text; /* decoded UTF-8; may hold NUL */
    struct gw_span key; /* decoded name of the nearest enclosing object member, or empty: context */
    enum dlp_leaf_kind kind : 8;
    unsigned nesting : 8;        /* 0: in the body; 1: in JSON inside a string of the body; ... */
    uint32_t raw_start, raw_end; /* the leaf's bytes in the body, without quotes */
};

struct dlp_doc;

/* Shorter JSON numbers are no identifiers, nor are fractions (a point behind at most four digits): dlp_scan() passes over them. */
enum { DLP_NUMBER_MIN = 9 };

struct dlp_doc_limits {
    unsigned max_depth; /* 0: 64 */
    unsigned max_keys;  /* 0: 10,000 */
    unsigned
        max_leaves; /* 0: 200,000. Of the body itself; JSON in a string that brings more than that is only a string */
    unsigned
        min_number; /* bytes: shorter numbers are no leaves, so that arrays of tokens cost no time. 0: all are */
};

/* Parses a JSON body into leaves. body must outlive the document; the document lives in arena. A string
 * that itself is a JSON object or array (tool arguments) yields its inner leaves as well as itself, behind itself.
 * It takes a byte or two a leaf, at most some 0.7 of the body.
 * limits may be NULL. GW_EPARSE, GW_ELIMIT, GW_ENOMEM. */
enum gw_status dlp_doc_parse_json(struct gw_arena *arena, struct gw_span body,
                                  const struct dlp_doc_limits *limits, struct dlp_doc **out,
                                  struct gw_err *err);

/* The same for a JSON answer, which is not ours to refuse: a key may come twice, and limits are those of size only.
 * GW_EPARSE, GW_ELIMIT, GW_ENOMEM (also when the arena is full). */
enum gw_status dlp_doc_parse_answer(struct gw_arena *arena, struct gw_span body,
                                    struct dlp_doc **out);

/* One leaf over the whole text. GW_ENOMEM. */
enum gw_status dlp_doc_parse_text(struct gw_arena *arena, struct gw_span text,
                                  struct dlp_doc **out);

/* The leaf of a finding that was reported. Its text and key live as long as the document. */
struct dlp_leaf dlp_doc_leaf(const struct dlp_doc *doc, uint32_t leaf);
/* Appends the JSON pointer (RFC 6901) of the leaf, "/messages/0/content"; array indexes as numbers,
 * object keys longer than 40 bytes or not plain words as "*" (they may be data). */
void dlp_doc_pointer(const struct dlp_doc *doc, unsigned leaf, struct gw_buf *out);

/* ---- scanning --------------------------------------------------------------------------- */

/* In which form of a leaf's text a finding was seen. Where forms are nested (gzip in base64), the innermost. */
enum dlp_view {
    DLP_VIEW_PLAIN, /* the text as it stands */
    DLP_VIEW_FOLDED, /* full-width and mathematical forms, look-alikes of other scripts, invisible characters */
    DLP_VIEW_INVISIBLE, /* what Unicode's tag characters spell, which nobody sees */
    DLP_VIEW_DIGITS,    /* digits with separators between them, or spelled as words */
    DLP_VIEW_BASE64,
    DLP_VIEW_HEX,
    DLP_VIEW_PERCENT, /* %41 */
    DLP_VIEW_HTML,    /* &#65; &quot; */
    DLP_VIEW_ESCAPED, /* \u0041 and \x41 in plain text */
    DLP_VIEW_QUOTED,  /* quoted-printable: =41 */
    DLP_VIEW_GZIP,    /* gzip or zlib */
    DLP_VIEW_COUNT
};
const char *dlp_view_name(enum dlp_view view); /* "plain", "folded", ... */

/* A budget of the views that ended before the text did: what lay behind was seen as it stands only. */
enum dlp_cut {
    DLP_CUT_BYTES = 1 << 0, /* decoded bytes: 4 times the scanned text and 64 KiB */
    DLP_CUT_DEPTH = 1 << 1, /* decoded text that is encoded again, below the third level */
    DLP_CUT_COUNT = 1 << 2, /* pieces of encoded text in one leaf */
    DLP_CUT_WORK = 1 << 3,  /* a decoded text that is made to keep matchers busy */
};
/* Appends the names of the bits, "bytes,depth". */
void dlp_cut_names(uint32_t cut, struct gw_buf *out);

struct dlp_finding {
    uint32_t rule; /* index into the rules */
    uint32_t leaf; /* index into the document's leaves */
    uint32_t start,
        end; /* bytes in the leaf's decoded text: as received, also of what was decoded from there */
    uint8_t confidence; /* 0 to 100, after validators and context */
    uint8_t view;       /* enum dlp_view */
};

struct dlp_report {
    /* In arena; by leaf, start. Of those of one view that overlap the strongest is kept; one of another view stays
     * when its rule has found nothing there in a view before it. */
    struct dlp_finding *findings;
    unsigned n_findings;
    uint64_t scanned_bytes;
    uint64_t view_bytes; /* decoded, beyond scanned_bytes */
    uint32_t cut;        /* enum dlp_cut */
};

/* Scratch memory of one thread. */
struct dlp_scanner;
struct dlp_scanner *dlp_scanner_new(void); /* NULL when out of memory */
void dlp_scanner_free(struct dlp_scanner *s);

struct dlp_scan_limits {
    unsigned report_from;  /* findings below this confidence are dropped; 0 means 40 */
    unsigned max_findings; /* 0: 10,000; more is GW_ELIMIT, and the caller fails closed */
    uint64_t
        deadline_ns; /* gw_clock_ns() at which a scan of a document gives up; 0: never. Of a growing text the caller
                              keeps the time */
    /* Report also what else a span may be: findings of other rules inside a stronger one. For showing, since edits need
     * spans that do not overlap. */
    bool alternatives;
};

/* Scans every leaf. limits may be NULL. GW_OK with the report (possibly without findings); GW_ELIMIT,
 * GW_ETIMEDOUT (the deadline), GW_ENOMEM: nothing is known, fail closed. Linear in the text. Thread: the scanner's. */
enum gw_status dlp_scan(struct dlp_scanner *s, const struct dlp_rules *rules,
                        const struct dlp_doc *doc, struct gw_arena *arena,
                        const struct dlp_scan_limits *limits, struct dlp_report *report);

/* ---- hiding ----------------------------------------------------------------------------- */

/* Remembers what tokenize hid, for one request; wiped before it is freed. */
struct dlp_vault;

/* key makes placeholders deterministic: the same value of the same type gets the same placeholder under
 * the same key (one per tenant and conversation). Returns NULL when out of memory. */
struct dlp_vault *dlp_vault_new(struct gw_span key);
void dlp_vault_free(struct dlp_vault *v); /* v may be NULL */
unsigned dlp_vault_count(const struct dlp_vault *v);

/* How a tokenized value is named. */
enum dlp_style {
    DLP_STYLE_NAME,  /* DLP_EMAIL_7QK2M4XA */
    DLP_STYLE_SHAPE, /* by a value of the same kind that is nobody's: u7qk2m4xa@example.invalid. Where a value has no such
                        shape, none is free, or letters or digits touch it, by its name all the same */
};

/* Gives the vault all texts of a request, before the first edit with DLP_STYLE_SHAPE: no stand-in is taken that may stand in
 * them. GW_EEXIST: it has some; GW_ENOMEM: edits fail. */
enum gw_status dlp_vault_avoid(struct dlp_vault *v, const struct dlp_doc *const *docs, unsigned n);

/* Is the text a stand-in of this vault, nothing more? So what a scan finds in an answer may be none. */
bool dlp_vault_is_shape(const struct dlp_vault *v, struct gw_span text);

/* Applies actions[i] to findings[i] (MASK, TOKENIZE and REDACT edit; the others leave the text) and
 * appends the edited body to out. Edits of overlapping spans merge under the stricter action; a span in
 * a string inside a string is escaped for its depth; a KEY or NUMBER leaf is edited as a whole (a number
 * becomes a quoted placeholder). The result is valid JSON when the body was. GW_ELIMIT when the vault
 * is full; GW_ENOMEM. On failure out must not be used. */
enum gw_status dlp_doc_edit(const struct dlp_doc *doc, const struct dlp_rules *rules,
                            const struct dlp_report *report, const enum gw_action *actions,
                            struct dlp_vault *vault, struct gw_buf *out);

/* The same with a style (enum dlp_style) for each finding, of those that are tokenized; NULL: names. A number leaf keeps being a
 * number where both are nothing but digits. GW_EINVAL: a style needs dlp_vault_avoid(). */
enum gw_status dlp_doc_edit_styled(const struct dlp_doc *doc, const struct dlp_rules *rules,
                                   const struct dlp_report *report, const enum gw_action *actions,
                                   const uint8_t *styles, struct dlp_vault *vault,
                                   struct gw_buf *out);

/* ---- watching answers ----------------------------------------------------------------------- */

/* A finding in a growing text. text is the value (valid during the call); already_out: how many of its first bytes had
 * gone out before it was found (only after dlp_guard_release()). */
struct dlp_guard_finding {
    uint32_t rule;
    uint8_t confidence;
    struct gw_span text;
    size_t already_out;
};

/* Decides about a finding, once each: ALLOW, ALERT and COACH leave the text; MASK and REDACT (TOKENIZE counts as
 * REDACT) hide it; BLOCK ends the text. */
typedef enum gw_action (*dlp_guard_fn)(void *ctx, const struct dlp_guard_finding *f);

/* Scans one text that grows piece by piece. What comes out depends on the text alone, not on the pieces, and the findings
 * are those of dlp_scan() on the whole, but: context words and nears count in front of a value only (those behind it have not
 * come when it is judged, and code is told by the lines before), counts and their steps do not apply, rules that ask for
 * more than one value find none; placeholders of ours are none.
 *
 * What goes out is what can no longer become part of a finding. Held back is a live prefix of one: of prose a few bytes,
 * of a value all of it and up to 2 bytes behind it; at most what its pattern reaches (4 KiB; 33 KiB of a private key that
 * has begun). Linear: some 150 ns a byte of prose; text that is made to keep matchers busy is GW_ELIMIT in the end. */
struct dlp_guard;

/* scanner is shared scratch of the thread; it and rules must outlive the guard. limits may be NULL. json_nesting as for a
 * restorer. NULL: out of memory. */
struct dlp_guard *dlp_guard_new(struct dlp_scanner *scanner, struct dlp_rules *rules,
                                const struct dlp_scan_limits *limits, unsigned json_nesting,
                                dlp_guard_fn fn, void *ctx);
void dlp_guard_free(struct dlp_guard *g); /* wipes; g may be NULL */
/* Feeds decoded text and appends to out what can go. GW_EDENIED: blocked, nothing more may go; GW_ELIMIT, GW_ENOMEM:
 * unknown, so nothing more may go either. */
enum gw_status dlp_guard_feed(struct dlp_guard *g, struct gw_span text, struct gw_buf *out);
/* Ends the text: judges and appends the rest. The guard can be fed a new text afterwards. */
enum gw_status dlp_guard_finish(struct dlp_guard *g, struct gw_buf *out);
/* Feeds the last piece and ends the text: as both of the above, and much faster for a long piece. */
enum gw_status dlp_guard_last(struct dlp_guard *g, struct gw_span text, struct gw_buf *out);
size_t dlp_guard_held(const struct dlp_guard *g); /* bytes held back */
/* Lets go what is held back although it may begin a finding: later text is judged together with it, and what is left of
 * the value is hidden. A value that is complete but for what must not follow it is hidden at once. */
enum gw_status dlp_guard_release(struct dlp_guard *g, struct gw_buf *out);

/* ---- restoring -------------------------------------------------------------------------- */

/* Puts tokenized values back into one stream of text (one choice's content, one tool call's arguments).
 * Holds back only the longest suffix that could still become a placeholder that this vault issued. */
struct dlp_restorer;

/* v must outlive the restorer. json_nesting: how often a restored value must be JSON-escaped before it
 * goes out: 0 when the fed text is decoded text and the caller escapes it, 1 for the decoded text of a
 * string that itself holds JSON (tool arguments). NULL when out of memory. */
struct dlp_restorer *dlp_restorer_new(const struct dlp_vault *v, unsigned json_nesting);
void dlp_restorer_free(struct dlp_restorer *r);

/* Feeds decoded text and appends to out what can go. GW_OK, GW_ENOMEM. */
enum gw_status dlp_restorer_feed(struct dlp_restorer *r, struct gw_span text, struct gw_buf *out);

/* Ends the stream: appends what was held back. The restorer can be fed again afterwards. */
enum gw_status dlp_restorer_finish(struct dlp_restorer *r, struct gw_buf *out);

/* Bytes held back. */
size_t dlp_restorer_held(const struct dlp_restorer *r);

/* Placeholders replaced so far. */
unsigned dlp_restorer_count(const struct dlp_restorer *r);

/* Restores every leaf of a whole JSON body, bytes outside placeholders unchanged. */
enum gw_status dlp_restore_json(const struct dlp_vault *v, struct gw_span body, struct gw_buf *out,
                                unsigned *n_restored);

/* The same but for the pieces kept of the body, ascending, which stay as they are. */
enum gw_status dlp_restore_json_but(const struct dlp_vault *v, struct gw_span body,
                                    const struct gw_span *kept, unsigned n_kept, struct gw_buf *out,
                                    unsigned *n_restored);

/* Appends the masked form of a value: '*' for each letter and digit, separators stay. At 12 and more
 * characters the last 4 stay, too, unless `whole`: then nothing stays, separators neither. */
void dlp_mask(struct gw_buf *out, struct gw_span value, bool whole);

#endif
