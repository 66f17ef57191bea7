/* dlp/view_scan.h - scanning the views of a leaf (view.h). Private to dlp. Thread: the scanner's. */
#ifndef DLP_VIEW_SCAN_H
#define DLP_VIEW_SCAN_H

#include "dlp/view.h"

enum { VIEW_CHAIN = 6 }; /* views of views */

/* The part of a scanner that makes views. Zeroes are an empty one. */
struct view_scan {
    struct view_text chain[VIEW_CHAIN];
    struct view_marks marks[VIEW_CHAIN + 1]; /* of the leaf, and of each view in the chain */
    uint64_t left;                           /* bytes that views may still have in this scan */
    uint64_t view_bytes;
    uint32_t cut;  /* enum dlp_cut */
    unsigned used; /* of the chain, since the scan began */
};

struct dlp_scanner;
struct dlp_rules;

/* A leaf whose views are scanned: its text, the key above it, what it is called (empty: nobody knows), its number. */
struct view_leaf {
    struct gw_span text, key, label;
    uint32_t leaf;
};

/* Begins a scan of text_bytes in all. */
void view_scan_begin(struct view_scan *vs, uint64_t text_bytes);
/* There is more text than was said. */
void view_scan_more(struct view_scan *vs, uint64_t text_bytes);
/* Ends it: wipes, gives back much memory. */
void view_scan_end(struct view_scan *vs);
void view_scan_fini(struct view_scan *vs);

/* Scans what a leaf's text may hide, and it behind its label, which is empty where the leaf has none. s->found[first..n_found) are the leaf's findings, and grow by those of views; sorted by
 * start behind it. GW_ELIMIT, GW_ENOMEM. */
enum gw_status view_scan_leaf(struct dlp_scanner *s, const struct dlp_rules *rules,
                              const struct view_leaf *leaf, unsigned report_from, unsigned first);

#endif
