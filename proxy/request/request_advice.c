/* proxy/request/request_advice.c - what a person is told of a decision: what was found where, the line's own words, and where to
 * turn to. Worker's thread. */
#include <stdio.h>

#include "proxy/net/worker.h"
#include "proxy/request/request_private.h"

void req_say_place(const struct req *req, char out[REQ_PLACE_BYTES])
{
    struct gw_buf pointer = {0};
    unsigned first = 0;

    out[0] = '\0';
    if (req->d.finding < 0 || (unsigned)req->d.finding >= req->n_findings)
        return;
    for (unsigned i = 0; i < req->n_pieces; i++) {
        const struct req_piece *p = &req->pieces[i];
        unsigned k = (unsigned)req->d.finding - first;

        first += p->report.n_findings;
        if ((unsigned)req->d.finding >= first)
            continue;
        if (p->fixed != NULL)
            gw_buf_adds(&pointer, p->fixed);
        else
            dlp_doc_pointer(p->doc, p->report.findings[k].leaf, &pointer);
        break;
    }
    if (gw_buf_ok(&pointer))
        (void)snprintf(
            out, REQ_PLACE_BYTES, " (%.*s%s%.*s)", (int)req->findings[req->d.finding].rule.len,
            req->findings[req->d.finding].rule.ptr, pointer.len == 0 ? "" : " at ",
            (int)(pointer.len < 120 ? pointer.len : 120), pointer.len == 0 ? "" : pointer.ptr);
    gw_buf_fini(&pointer);
}

static const struct proxy_config_line *line_at(const struct req *req, uint16_t line)
{
    return line < req->setup->cfg->n_lines ? &req->setup->cfg->lines[line] : NULL;
}

static bool speaks(const struct proxy_config_line *l)
{
    return l != NULL && (l->message[0] != '\0' || l->appeal[0] != '\0');
}

void req_say_advice(const struct req *req, uint16_t line, const char *before,
                    char out[REQ_ADVICE_BYTES])
{
    const struct proxy_config_line *l = line_at(req, line);

    out[0] = '\0';
    if (!speaks(l))
        return;
    (void)snprintf(out, REQ_ADVICE_BYTES, "%s%.700s%s%s%.400s", before, l->message,
                   l->message[0] != '\0' && l->appeal[0] != '\0' ? " " : "",
                   l->appeal[0] == '\0' ? "" : "To appeal: ", l->appeal);
}

/* A line that coaches, also where a stricter one has decided beside it. */
static uint16_t coaching_line(const struct req *req)
{
    for (unsigned i = 0; i < req->n_findings; i++)
        if (req->d.actions[i] == GW_ACTION_COACH && speaks(line_at(req, req->d.lines[i])))
            return req->d.lines[i];
    return ROUTER_NO_LINE;
}

uint16_t req_advising_line(const struct req *req)
{
    if ((req->d.action == GW_ACTION_BLOCK || req->d.action == GW_ACTION_COACH) &&
        speaks(line_at(req, req->d.line_index)))
        return req->d.line_index;
    return coaching_line(req);
}
