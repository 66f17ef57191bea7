/* proxy/cmd/cmd_rules_lint.c - sluice rules lint: what could be better about rules that work. One thread. */
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cmd/cmd_rules.h"

struct lint_ctx {
    bool json;
    unsigned n;
};

static void print(void *ctx, const struct dlp_lint *l)
{
    struct lint_ctx *x = ctx;
    struct gw_buf out = {NULL, 0, 0, false};

    x->n++;
    if (!x->json) {
        printf("%s%s:%u%s: rule %s: %s%s%s: %s\n", cli_paint(stdout, "bold"), l->file, l->line,
               cli_paint(stdout, "reset"), l->rule, cli_paint(stdout, "yellow"), l->check,
               cli_paint(stdout, "reset"), l->text);
        return;
    }
    gw_buf_adds(&out, "{\"file\":");
    gw_buf_add_json_str(&out, gw_span_str(l->file));
    gw_buf_printf(&out, ",\"line\":%u,\"rule\":\"%s\",\"check\":\"%s\",\"text\":", l->line, l->rule,
                  l->check);
    gw_buf_add_json_str(&out, gw_span_str(l->text));
    printf("%.*s}\n", (int)out.len, out.ptr == NULL ? "" : out.ptr);
    gw_buf_fini(&out);
}

int cmd_rules_lint(const struct cmd_rules_args *a)
{
    static const char *const tree[] = {"rules"};
    struct lint_ctx x = {.json = a->json};
    unsigned n_rules = 0;
    struct gw_err err;

    if (a->n_rules > 0)
        return cli_fail("rules lint", 2, "--rules is not for lint: name the files and folders");
    if (dlp_rules_lint(a->n_files > 0 ? a->files : tree, a->n_files > 0 ? a->n_files : 1, print, &x,
                       &n_rules, &err) != GW_OK)
        return cli_fail_err("rules lint", &err);
    if (!a->json)
        (void)fprintf(stderr, "%u rules, %u things to look at\n", n_rules, x.n);
    return x.n == 0 ? 0 : 1;
}
