/* dlp/validate_ids.c - finds a number system by name and asks it: validate: [id(pl_pesel)].
 *
 * id() drops what the system refuses; id_soft() only lowers it, for systems whose numbers are often
 * quoted with a wrong check digit. The systems stand in validate_ids_*.c by region. No state; any
 * thread. */
#include "dlp/validate_ids.h"

#include <string.h>

static const struct dlp_id_scheme *const tables[] = {dlp_ids_europe_west, dlp_ids_europe_east,
                                                     dlp_ids_americas, dlp_ids_asia_pacific};

static const struct dlp_id_scheme *find_scheme(struct gw_span name)
{
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
        for (const struct dlp_id_scheme *s = tables[t]; s->name != NULL; s++)
            if (gw_span_is(name, s->name))
                return s;
    return NULL;
}

bool dlp_id_known(struct gw_span name)
{
    return find_scheme(name) != NULL;
}

/* 000000000 passes most checksums. */
static bool all_same(const struct dlp_id *x)
{
    for (size_t i = 1; i < x->n; i++)
        if (x->d[i] != x->d[0])
            return false;
    return true;
}

/* "PL 856-734-62-15": the country in front of a number of nothing but digits says nothing new. */
static void drop_country(struct dlp_id *x, const struct dlp_id_scheme *scheme)
{
    bool greek = memcmp(scheme->name, "gr", 2) == 0 && memcmp(x->s, "EL", 2) == 0;

    if (x->n < 4 || !scheme->digits_only)
        return;
    if (greek || (gw_ascii_lower(x->s[0]) == scheme->name[0] &&
                  gw_ascii_lower(x->s[1]) == scheme->name[1])) {
        x->s += 2;
        x->n -= 2;
    }
}

static bool id_ok(const struct dlp_validate_in *in)
{
    const struct dlp_id_scheme *scheme = find_scheme(in->str);
    char s[DLP_ID_MAX];
    struct dlp_id x = {.s = s, .digits = true};

    x.n = dlp_val_compact(dlp_val_span(in), s, sizeof(s));
    if (scheme == NULL)
        return false;
    drop_country(&x, scheme);
    if (x.n < scheme->min || x.n > scheme->max)
        return false;
    for (size_t i = 0; i < x.n; i++) {
        if (dlp_is_digit(x.s[i]))
            x.d[i] = (unsigned char)(x.s[i] - '0');
        else
            x.digits = false;
    }
    if (scheme->digits_only && (!x.digits || all_same(&x)))
        return false;
    return scheme->ok(&x);
}

int dlp_validate_id(const struct dlp_validate_in *in)
{
    return id_ok(in) ? 0 : DLP_VALIDATE_REJECT;
}

int dlp_validate_id_soft(const struct dlp_validate_in *in)
{
    return id_ok(in) ? 0 : -35;
}
