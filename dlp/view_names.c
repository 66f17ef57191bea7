/* dlp/view_names.c - the words for views and their budgets in records, headers and reports. Pure; any thread. */
#include "dlp/dlp.h"

const char *dlp_view_name(enum dlp_view view)
{
    static const char *const names[DLP_VIEW_COUNT] = {
        [DLP_VIEW_PLAIN] = "plain",         [DLP_VIEW_FOLDED] = "folded",
        [DLP_VIEW_INVISIBLE] = "invisible", [DLP_VIEW_DIGITS] = "digits",
        [DLP_VIEW_BASE64] = "base64",       [DLP_VIEW_HEX] = "hex",
        [DLP_VIEW_PERCENT] = "percent",     [DLP_VIEW_HTML] = "html",
        [DLP_VIEW_ESCAPED] = "escaped",     [DLP_VIEW_QUOTED] = "quoted-printable",
        [DLP_VIEW_GZIP] = "gzip",
    };

    return view < DLP_VIEW_COUNT ? names[view] : "unknown";
}

void dlp_cut_names(uint32_t cut, struct gw_buf *out)
{
    static const char *const names[] = {"bytes", "depth", "count", "work"};
    bool more = false;

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((cut >> i & 1) == 0)
            continue;
        if (more)
            gw_buf_addc(out, ',');
        gw_buf_adds(out, names[i]);
        more = true;
    }
}
