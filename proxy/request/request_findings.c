/* proxy/request/request_findings.c - what the scan has reported, as the router wants it: where it stands, whether an allowlist
 * takes it away, whether its rule is on trial; and the reason that a client gives. Worker's thread. */
#include "base/utf8.h"
#include "proxy/net/worker.h"
#include "proxy/request/allow.h"
#include "proxy/request/request_stages.h"
#include "proxy/request/roles.h"

/* ---- findings --------------------------------------------------------------------------- */

static enum router_field field_of(const struct req_piece *p, const struct dlp_leaf *leaf,
                                  const struct roles *roles)
{
    if (leaf->kind == DLP_LEAF_KEY)
        return ROUTER_FIELD_KEY;
    if (p->field != ROUTER_FIELD_OTHER || roles == NULL)
        return p->field;
    return roles_at(roles, p->bytes.ptr + leaf->raw_start);
}

/* The entry of an allowlist that takes it away, or NULL: also without memory, for then it is not known. */
static const struct proxy_config_allow *look_up(const struct req *req, const struct req_piece *p,
                                                const struct dlp_finding *found,
                                                const struct dlp_leaf *leaf, struct gw_span rule)
{
    const struct proxy_config_allow *allowed = NULL;
    struct gw_buf pointer = {0};
    struct allow_finding f = {
        .value = {leaf->text.ptr + found->start, found->end - found->start},
        .rule = rule,
        .who = &req->who,
        .now_ms = req->judged_ms,
    };

    if (req->setup->cfg->allow.n == 0)
        return NULL;
    if (p->fixed != NULL)
        gw_buf_adds(&pointer, p->fixed);
    else
        dlp_doc_pointer(p->doc, found->leaf, &pointer);
    f.pointer = gw_buf_span(&pointer);
    if (gw_buf_ok(&pointer))
        allowed = allow_find(req->setup->cfg, req_hmac_key(req), &f);
    gw_buf_fini(&pointer);
    return allowed;
}

static void add_findings(struct req *req, const struct req_piece *p, const struct roles *roles)
{
    const struct dlp_rules *rules = req->setup->rules;

    for (unsigned i = 0; i < p->report.n_findings; i++) {
        const struct dlp_finding *found = &p->report.findings[i];
        const struct dlp_rule_info *info = dlp_rules_info(rules, found->rule);
        const struct dlp_leaf leaf = dlp_doc_leaf(p->doc, found->leaf);
        const struct proxy_config_allow *allowed =
            look_up(req, p, found, &leaf, gw_span_str(info->id));

        req->allowed[req->n_findings] = allowed;
        req->n_allowed += allowed != NULL;
        req->findings[req->n_findings++] = (struct router_finding){
            .rule = gw_span_str(info->id),
            .class_ = info->class_,
            .severity = info->severity,
            .confidence = found->confidence,
            .field = field_of(p, &leaf, roles),
            .view = found->view,
            .monitored = info->mode == DLP_MODE_MONITOR,
            .allowed = allowed != NULL,
        };
        metrics_add(&req->w->metrics.findings[info->class_], 1);
    }
}

bool req_prepare_findings(struct req *req)
{
    const struct roles *roles = NULL;
    unsigned n = 0;

    for (unsigned i = 0; i < req->n_pieces; i++)
        n += req->pieces[i].report.n_findings;
    req->findings = gw_arena_array(req->arena, n + 1, sizeof(*req->findings));
    req->allowed = gw_arena_array(req->arena, n + 1, sizeof(const struct proxy_config_allow *));
    req->d.actions = gw_arena_alloc(req->arena, n + 1);
    req->d.always = gw_arena_alloc(req->arena, n + 1);
    req->d.would_actions = gw_arena_alloc(req->arena, n + 1);
    req->d.lines = gw_arena_array(req->arena, n + 1, sizeof(*req->d.lines));
    if (req->findings == NULL || req->allowed == NULL || req->d.actions == NULL ||
        req->d.always == NULL || req->d.would_actions == NULL || req->d.lines == NULL)
        return false;
    if (n != 0 && req->tree != NULL) {
        roles = roles_new(req->arena, req->tree);
        if (roles == NULL)
            return false;
    }
    for (unsigned i = 0; i < req->n_pieces; i++)
        add_findings(req, &req->pieces[i], roles);
    metrics_add(&req->w->metrics.allowlisted, req->n_allowed);
    return true;
}

/* ---- the reason ------------------------------------------------------------------------- */

static bool asks_for_reasons(const struct proxy_config *cfg)
{
    for (unsigned i = 0; i < cfg->n_lines; i++)
        if (cfg->lines[i].unless == 1)
            return true;
    return false;
}

static bool is_printable(struct gw_span text)
{
    bool says = false;

    for (size_t i = 0; i < text.len;) {
        uint32_t cp = 0;
        unsigned n = gw_utf8_decode(text.ptr + i, text.len - i, &cp);

        if (n == 0 || cp < 0x20 || (cp >= 0x7F && cp < 0xA0))
            return false;
        says = says || cp != ' ';
        i += n;
    }
    return says;
}

/* It is written down, so it may hold nothing that a rule finds. */
static enum gw_status scan_reason(struct req *req, struct gw_span text, unsigned *n)
{
    const struct dlp_scan_limits lim = {.report_from = req->setup->cfg->dlp.report_from};
    struct dlp_report report;
    struct dlp_doc *doc;

    GW_TRY(dlp_doc_parse_text(req->arena, text, &doc));
    GW_TRY(dlp_scan(req->w->scanner, req->setup->rules, doc, req->arena, &lim, &report));
    *n = report.n_findings;
    return GW_OK;
}

bool req_take_justification(struct req *req)
{
    struct gw_span text = http1_get(req->head, "x-sluice-justification");
    unsigned n = 0;

    if (text.len == 0 || !asks_for_reasons(req->setup->cfg))
        return true;
    if (text.len > REQ_MAX_JUSTIFICATION || !is_printable(text)) {
        req_refuse(req, 400, "invalid_request_error", "invalid_justification", 0, AUDIT_END_REFUSED,
                   "x-sluice-justification must be a printable text of at most %d bytes.",
                   REQ_MAX_JUSTIFICATION);
        return false;
    }
    if (scan_reason(req, text, &n) != GW_OK) {
        req_refuse(req, 503, "server_error", "dlp_failed", 0, AUDIT_END_REFUSED,
                   "The justification could not be checked, so the request was not sent.");
        return false;
    }
    if (n != 0) {
        req_refuse(req, 400, "invalid_request_error", "invalid_justification", 0, AUDIT_END_REFUSED,
                   "x-sluice-justification is written down and holds sensitive data itself: say it "
                   "without.");
        return false;
    }
    req->justification = gw_arena_copy(req->arena, text);
    return true;
}
