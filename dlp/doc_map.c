/* dlp/doc_map.c - the maps between a leaf's decoded text and the bytes of the body. */
#include <string.h>

#include "base/json.h"
#include "dlp/doc.h"

/* ---- decoding with checkpoints ---------------------------------------------------------- */

/* Copies what is no escape from p on, below stop, and returns how many bytes that is. Writes eight at a time: what it writes behind
 * those is written again. */
static size_t copy_plain(char *w, const char *p, const char *stop)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
    const char *from = p;

    for (; stop - p >= (ptrdiff_t)sizeof(uint64_t); p += sizeof(uint64_t), w += sizeof(uint64_t)) {
        uint64_t eight, slash, found;

        memcpy(&eight, p, sizeof(eight));
        memcpy(w, &eight, sizeof(eight));
        slash = eight ^ (ones * '\\');
        found = (slash - ones) & ~slash & tops; /* the lowest mark is a true one */
        if (found != 0)
            return (size_t)(p - from) + (size_t)__builtin_ctzll(found) / 8;
    }
    while (p < stop && *p != '\\')
        *w++ = *p++;
    return (size_t)(p - from);
}

enum gw_status dlp_map_decode(struct gw_arena *arena, struct gw_span raw,
                              const struct dlp_way **way, struct gw_span *text)
{
    struct dlp_way *made = gw_arena_alloc(arena, sizeof(*made));
    struct dlp_checkpoint *cps;
    size_t at = 0, n_cps = 0, mark = DLP_CHECKPOINT;
    char *out, *w;

    out = gw_arena_alloc(arena, raw.len + 1);
    cps = gw_arena_array(arena, raw.len / DLP_CHECKPOINT + 1, sizeof(*cps));
    if (made == NULL || out == NULL || cps == NULL)
        return GW_ENOMEM;
    w = out;
    while (at < raw.len) {
        size_t stop = mark < raw.len ? mark : raw.len, n;

        if (at >= mark) {
            cps[n_cps++] = (struct dlp_checkpoint){(uint32_t)at, (uint32_t)(w - out)};
            mark += DLP_CHECKPOINT;
            continue;
        }
        n = copy_plain(w, raw.ptr + at, raw.ptr + stop);
        w += n;
        at += n;
        if (at < stop) {
            const char *esc = raw.ptr + at;
            char tmp[4];

            n = gw_json_unescape(&esc, tmp);
            memcpy(w, tmp, n);
            w += n;
            at = (size_t)(esc - raw.ptr);
        }
    }
    made->checkpoints = cps;
    made->n_checkpoints = (uint32_t)n_cps;
    *way = made;
    *text = (struct gw_span){out, (size_t)(w - out)};
    return GW_OK;
}

/* ---- one level of the map --------------------------------------------------------------- */

/* The last checkpoint at or before the offset, by text or by raw; the beginning when there is none. */
static struct dlp_checkpoint find_checkpoint(const struct dlp_way *way, uint32_t off, bool by_text)
{
    uint32_t lo = 0, hi = way->n_checkpoints;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        const struct dlp_checkpoint *c = &way->checkpoints[mid];

        if ((by_text ? c->text : c->raw) <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == 0 ? (struct dlp_checkpoint){0, 0} : way->checkpoints[lo - 1];
}

/* Walks to the offset, by text or by raw. An offset inside an escape is rounded down, or up. */
static struct dlp_checkpoint walk(const struct dlp_doc *doc, const struct dlp_source *src,
                                  uint32_t off, bool by_text, bool up)
{
    const char *raw;
    struct dlp_checkpoint c;

    if (src->way == NULL)
        return (struct dlp_checkpoint){off, off};
    raw = (src->outer == DLP_NONE ? doc->body.ptr : doc->leaves[src->outer].text.ptr) + src->at;
    c = find_checkpoint(src->way, off, by_text);
    while ((by_text ? c.text : c.raw) < off && c.raw < src->len) {
        const char *p = raw + c.raw;
        struct dlp_checkpoint next = {c.raw + 1, c.text + 1};

        if (*p == '\\') {
            char tmp[4];

            next.text = c.text + gw_json_unescape(&p, tmp);
            next.raw = (uint32_t)(p - raw);
        }
        if ((by_text ? next.text : next.raw) > off && !up)
            break;
        c = next;
    }
    return c;
}

/* ---- through all levels ------------------------------------------------------------------ */

void dlp_map_to_body(const struct dlp_doc *doc, uint32_t leaf, uint32_t start, uint32_t end,
                     uint32_t *raw_start, uint32_t *raw_end)
{
    while (leaf != DLP_NONE) {
        const struct dlp_source *src = &doc->sources[leaf];

        end = walk(doc, src, end, true, true).raw + src->at;
        start = walk(doc, src, start, true, false).raw + src->at;
        leaf = src->outer;
    }
    *raw_start = start;
    *raw_end = end;
}

void dlp_map_from_body(const struct dlp_doc *doc, uint32_t leaf, uint32_t raw_start,
                       uint32_t raw_end, uint32_t *start, uint32_t *end)
{
    uint32_t chain[DLP_MAX_NESTING + 1];
    unsigned n = 0;

    for (; leaf != DLP_NONE && n < DLP_MAX_NESTING + 1; leaf = doc->sources[leaf].outer)
        chain[n++] = leaf;
    while (n > 0) {
        const struct dlp_source *src = &doc->sources[chain[--n]];

        raw_start = walk(doc, src, raw_start - src->at, false, false).text;
        raw_end = walk(doc, src, raw_end - src->at, false, true).text;
    }
    *start = raw_start;
    *end = raw_end;
}
