/* proxy/cmd/cmd_dlp_scan.c - scans a file: as documents where it is JSON, else as text in windows that overlap. One thread.
 *
 * A window is what fits into WINDOW bytes. Findings that begin in its last AHEAD bytes are left to the next window, which begins
 * BEHIND bytes in front of them: a match is whole and has its context. */
#include "proxy/cmd/cmd_dlp_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/cli.h"

enum {
    WINDOW = 8 << 20,
    AHEAD = 128 << 10, /* no match reaches further */
    BEHIND = 8 << 10,  /* no context does */
    ARENA_BYTES = 1 << 30,
    SNIFF = 8000, /* a NUL among the first bytes: binary */
};

/* A place in the file, found by walking on. */
struct place {
    uint64_t at;
    unsigned line, column;
};

enum gw_status cmd_dlp_scan_open(struct cmd_dlp_scanner *s)
{
    s->scanner = dlp_scanner_new();
    s->arena = gw_arena_new(ARENA_BYTES);
    s->window = malloc(WINDOW);
    return s->scanner != NULL && s->arena != NULL && s->window != NULL ? GW_OK : GW_ENOMEM;
}

void cmd_dlp_scan_close(struct cmd_dlp_scanner *s)
{
    dlp_scanner_free(s->scanner);
    gw_arena_free(s->arena);
    if (s->window != NULL)
        explicit_bzero(s->window, WINDOW);
    free(s->window);
    gw_buf_fini(&s->path);
}

/* Moves p to byte `to` of the file; text holds the file from base on. */
static void walk(struct place *p, struct gw_span text, uint64_t base, uint64_t to)
{
    for (; p->at < to; p->at++) {
        char c = text.ptr[p->at - base];

        if (c == '\n') {
            p->line++;
            p->column = 1;
        } else if (((unsigned char)c & 0xC0) != 0x80) {
            p->column++;
        }
    }
}

/* What one scan of text or of a document is about. */
struct part {
    const char *name;
    struct gw_span text; /* of the file, from base on */
    uint64_t base;
    size_t from, to; /* findings that begin in here are reported; bytes of text */
    struct place place;
};

/* Where the finding is in the text: in a leaf that had escapes, the leaf. */
static void locate(const struct dlp_leaf *leaf, const struct dlp_finding *f, size_t *start,
                   size_t *end)
{
    bool same = leaf->raw_end - leaf->raw_start == leaf->text.len;

    *start = same ? leaf->raw_start + f->start : leaf->raw_start;
    *end = same ? leaf->raw_start + f->end : leaf->raw_end;
}

static void report(struct cmd_dlp_scanner *s, struct part *p, const struct dlp_doc *doc,
                   const struct dlp_finding *f)
{
    const struct dlp_leaf leaf = dlp_doc_leaf(doc, f->leaf);
    struct cmd_dlp_finding out = {.file = p->name,
                                  .rule = f->rule,
                                  .confidence = f->confidence,
                                  .view = f->view,
                                  .value = {leaf.text.ptr + f->start, f->end - f->start}};
    struct place place = p->place;
    size_t start, end;

    locate(&leaf, f, &start, &end);
    if (start < p->from || start >= p->to || f->confidence < s->min_confidence)
        return;
    /* Leaves come in the order of the text by and large; a joined one goes back. */
    if (place.at > p->base + start)
        place = (struct place){p->base, 1, 1};
    walk(&place, p->text, p->base, p->base + start);
    if (p->place.at <= place.at)
        p->place = place;
    out.line = place.line;
    out.column = place.column;
    out.start = p->base + start;
    out.end = p->base + end;
    if (leaf.kind != DLP_LEAF_TEXT) {
        gw_buf_clear(&s->path);
        dlp_doc_pointer(doc, f->leaf, &s->path);
        out.path = gw_buf_span(&s->path);
    }
    s->report(s->ctx, &out);
}

static enum gw_status scan_doc(struct cmd_dlp_scanner *s, struct part *p, const struct dlp_doc *doc)
{
    const struct dlp_scan_limits limits = {.report_from = s->min_confidence,
                                           .max_findings = 1000000};
    struct dlp_report r = {.findings = NULL};
    enum gw_status st = dlp_scan(s->scanner, s->rules, doc, s->arena, &limits, &r);

    for (unsigned i = 0; i < r.n_findings && st == GW_OK; i++)
        report(s, p, doc, &r.findings[i]);
    return st;
}

static enum gw_status scan_text(struct cmd_dlp_scanner *s, struct part *p)
{
    struct dlp_doc *doc = NULL;
    enum gw_status st = dlp_doc_parse_text(s->arena, p->text, &doc);

    if (st == GW_OK)
        st = scan_doc(s, p, doc);
    gw_arena_reset(s->arena);
    return st;
}

static bool ends_with(const char *name, const char *suffix)
{
    return gw_span_ends(gw_span_str(name), gw_span_str(suffix));
}

/* Scans text as a document; false when it is none. */
static bool scan_json(struct cmd_dlp_scanner *s, struct part *p, enum gw_status *st)
{
    struct dlp_doc *doc = NULL;
    bool is_json = dlp_doc_parse_answer(s->arena, p->text, &doc) == GW_OK;

    if (is_json)
        *st = scan_doc(s, p, doc);
    gw_arena_reset(s->arena);
    return is_json;
}

/* Scans each line as a document, or as text where it is none. */
static enum gw_status scan_lines(struct cmd_dlp_scanner *s, struct part *whole)
{
    enum gw_status st = GW_OK;

    for (size_t at = 0; at < whole->text.len && st == GW_OK;) {
        struct gw_span rest = gw_span_from(whole->text, at);
        const char *newline = memchr(rest.ptr, '\n', rest.len);
        size_t len = newline == NULL ? rest.len : (size_t)(newline - rest.ptr);
        struct part line = *whole;

        line.text.ptr = rest.ptr;
        line.text.len = len;
        line.base = whole->base + at;
        line.from = 0;
        line.to = len;
        walk(&whole->place, whole->text, whole->base, line.base);
        line.place = whole->place;
        if (len > 0 && !scan_json(s, &line, &st))
            st = scan_text(s, &line);
        at += len + 1;
    }
    return st;
}

/* A file that was read whole. */
static enum gw_status scan_whole(struct cmd_dlp_scanner *s, struct part *p)
{
    size_t i = 0;
    enum gw_status st = GW_OK;

    if (ends_with(p->name, ".jsonl") || ends_with(p->name, ".ndjson"))
        return scan_lines(s, p);
    while (i < p->text.len && strchr(" \t\r\n", p->text.ptr[i]) != NULL && p->text.ptr[i] != '\0')
        i++;
    if (i < p->text.len && (p->text.ptr[i] == '{' || p->text.ptr[i] == '[') && scan_json(s, p, &st))
        return st;
    return scan_text(s, p);
}

/* Fills the window from fd; -1 after an error. */
static ssize_t fill(char *window, size_t have, int fd)
{
    while (have < WINDOW) {
        ssize_t n = read(fd, window + have, WINDOW - have);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

bool cmd_dlp_scan_fd(struct cmd_dlp_scanner *s, const char *name, int fd)
{
    struct part p = {.name = name, .place = {0, 1, 1}};
    enum gw_status st = GW_OK;
    size_t have = 0;

    for (bool last = false; !last && st == GW_OK;) {
        ssize_t n = fill(s->window, have, fd);

        if (n < 0) {
            (void)cli_fail("dlp scan", 3, "%s: %s", name,
                           strerror(errno)); // NOLINT(concurrency-mt-unsafe): one thread
            return false;
        }
        s->totals->n_bytes += (size_t)n - have;
        have = (size_t)n;
        last = have < WINDOW;
        if (p.base == 0 && memchr(s->window, '\0', have < SNIFF ? have : SNIFF) != NULL) {
            s->totals->n_binary++;
            return true;
        }
        p.text = (struct gw_span){s->window, have};
        p.to = last ? have : have - AHEAD;
        st = p.base == 0 && last ? scan_whole(s, &p) : scan_text(s, &p);
        if (last)
            break;
        walk(&p.place, p.text, p.base, p.base + p.to - BEHIND);
        memmove(s->window, s->window + p.to - BEHIND, AHEAD + BEHIND);
        p.base += p.to - BEHIND;
        p.from = BEHIND;
        have = AHEAD + BEHIND;
    }
    s->totals->n_files++;
    if (st == GW_OK)
        return true;
    (void)cli_fail("dlp scan", 3, "%s: %s while scanning; the rest of the file is unknown", name,
                   gw_status_name(st));
    return false;
}
