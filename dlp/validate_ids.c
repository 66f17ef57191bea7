/* dlp/validate_ids.c - finds a number system by name and asks it: validate: [id(pl_pesel)].
 *
 * id() drops what the system refuses, id_one_of() what all of some refuse; id_soft() only lowers it, for systems whose numbers are often
 * quoted with a wrong check digit; id_any() asks every system of a kind, which is much too weak for
 * running text (every tenth number passes some system) and good for a number that stands alone. The
 * systems stand in validate_ids_*.c by region. No state but where their names are; any thread. */
#include "dlp/validate_ids.h"

#include <pthread.h>
#include <string.h>

static const struct dlp_id_scheme *const tables[] = {
    dlp_ids_europe_west, dlp_ids_europe_east,    dlp_ids_americas, dlp_ids_asia_pacific,
    dlp_ids_world,       dlp_ids_company_europe, dlp_ids_codes};

/* Where the names of all tables are: a rule asks for its own at each match. */
enum { SLOTS = 1024 };
static const struct dlp_id_scheme *slots[SLOTS];
static pthread_once_t slots_once = PTHREAD_ONCE_INIT;

static unsigned slot_of(struct gw_span name)
{
    uint32_t h = 0x811C9DC5u;

    for (size_t i = 0; i < name.len; i++)
        h = (h ^ (unsigned char)name.ptr[i]) * 0x01000193u;
    return (h ^ h >> 15) % SLOTS;
}

static void fill_slots(void)
{
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
        for (const struct dlp_id_scheme *s = tables[t]; s->name != NULL; s++) {
            unsigned at = slot_of(gw_span_str(s->name));

            while (slots[at] != NULL)
                at = (at + 1) % SLOTS;
            slots[at] = s;
        }
    }
}

const struct dlp_id_scheme *dlp_id_scheme_find(struct gw_span name)
{
    unsigned at = slot_of(name);

    (void)pthread_once(&slots_once, fill_slots);
    while (slots[at] != NULL && !gw_span_is(name, slots[at]->name))
        at = (at + 1) % SLOTS;
    return slots[at];
}

bool dlp_id_known(struct gw_span name)
{
    return dlp_id_scheme_find(name) != NULL;
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

/* Is a compact number one of the scheme's? */
static bool scheme_ok(const struct dlp_id_scheme *scheme, const char *s, size_t n)
{
    struct dlp_id x = {.s = s, .n = n, .digits = true};

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

static bool id_ok(const struct dlp_validate_in *in)
{
    const struct dlp_id_scheme *scheme =
        in->scheme != NULL ? in->scheme : dlp_id_scheme_find(in->str);
    char s[DLP_ID_MAX];
    size_t n = dlp_val_compact(dlp_val_span(in), s, sizeof(s));

    return scheme != NULL && n > 0 && scheme_ok(scheme, s, n);
}

int dlp_validate_id(const struct dlp_validate_in *in)
{
    return id_ok(in) ? 0 : DLP_VALIDATE_REJECT;
}

/* The name at the start of a list of names with full stops between them; list: what is left of it. */
static struct gw_span next_name(struct gw_span *list)
{
    const char *stop = list->len > 0 ? memchr(list->ptr, '.', list->len) : NULL;
    struct gw_span name = *list;

    if (stop != NULL)
        name.len = (size_t)(stop - list->ptr);
    *list = gw_span_from(*list, stop == NULL ? list->len : name.len + 1);
    return name;
}

bool dlp_ids_known(struct gw_span list)
{
    bool known = list.len > 0;

    while (known && list.len > 0)
        known = dlp_id_known(next_name(&list));
    return known;
}

/* Does one of the systems of a list accept the span? */
static bool one_of(const struct dlp_validate_in *in, struct gw_span list)
{
    char s[DLP_ID_MAX];
    size_t n = dlp_val_compact(dlp_val_span(in), s, sizeof(s));

    while (n > 0 && list.len > 0) {
        const struct dlp_id_scheme *scheme = dlp_id_scheme_find(next_name(&list));

        if (scheme != NULL && scheme_ok(scheme, s, n))
            return true;
    }
    return false;
}

int dlp_validate_id_one_of(const struct dlp_validate_in *in)
{
    return one_of(in, in->str) ? 0 : DLP_VALIDATE_REJECT;
}

int dlp_validate_vat(const struct dlp_validate_in *in)
{
    static const char states[] =
        "at_uid.be_vat.bg_vat.cy_vat.cz_dic.de_vat.dk_cvr.ee_kmkr.gr_afm.es_nif.es_cif."
        "fi_ytunnus.fr_tva.hr_oib.hu_anum.ie_vat.it_iva.lt_pvm.lu_tva.lv_pvn.mt_vat.nl_btw."
        "pl_nip.pt_nif.ro_cui.se_vat.si_ddv.sk_dph";

    return one_of(in, GW_SPAN(states)) ? 0 : DLP_VALIDATE_REJECT;
}

int dlp_validate_id_soft(const struct dlp_validate_in *in)
{
    return id_ok(in) ? 0 : -35;
}

void dlp_digits_read(struct gw_span text, struct dlp_digits *out)
{
    *out = (struct dlp_digits){.text = text.ptr, .n = text.len, .same = true};
    for (size_t i = 0; i < text.len && i < DLP_DIGITS_MAX; i++) {
        out->value[i] = (unsigned char)(text.ptr[i] - '0');
        out->same = out->same && text.ptr[i] == text.ptr[0];
    }
}

bool dlp_id_has_digits(const struct dlp_id_scheme *scheme, const struct dlp_digits *digits)
{
    struct dlp_id x = {.s = digits->text, .n = digits->n, .digits = true};

    _Static_assert((int)DLP_ID_MAX == (int)DLP_DIGITS_MAX, "as many as a scheme has");
    if (x.n < scheme->min || x.n > scheme->max || (scheme->digits_only && digits->same))
        return false;
    memcpy(x.d, digits->value, sizeof(x.d));
    return scheme->ok(&x);
}

/* ---- any system of a kind ---------------------------------------------------------------------- */

static const char *const kinds[] = {[DLP_ID_PERSON] = "person",
                                    [DLP_ID_COMPANY] = "company",
                                    [DLP_ID_BANK] = "bank",
                                    [DLP_ID_CODE] = "code"};

enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static unsigned kind_of(struct gw_span name)
{
    unsigned k = 0;

    while (k < N_KINDS && !gw_span_is(name, kinds[k]))
        k++;
    return k;
}

bool dlp_id_kind_known(struct gw_span name)
{
    return kind_of(name) < N_KINDS;
}

int dlp_validate_id_any(const struct dlp_validate_in *in)
{
    unsigned kind = kind_of(in->str);
    char s[DLP_ID_MAX];
    size_t n = dlp_val_compact(dlp_val_span(in), s, sizeof(s));

    for (size_t t = 0; n > 0 && t < sizeof(tables) / sizeof(tables[0]); t++)
        for (const struct dlp_id_scheme *x = tables[t]; x->name != NULL; x++)
            if (x->kind == kind && scheme_ok(x, s, n))
                return 0;
    return DLP_VALIDATE_REJECT;
}

unsigned dlp_id_systems(struct gw_span value, const char **names, unsigned max)
{
    char s[DLP_ID_MAX];
    size_t n = dlp_val_compact(value, s, sizeof(s));
    unsigned found = 0;

    for (size_t t = 0; n > 0 && t < sizeof(tables) / sizeof(tables[0]); t++)
        for (const struct dlp_id_scheme *x = tables[t]; x->name != NULL && found < max; x++)
            if (scheme_ok(x, s, n))
                names[found++] = x->name;
    return found;
}

/* ---- helpers of the systems -------------------------------------------------------------------- */

bool dlp_id_sum_ok(const struct dlp_id *x, const signed char *w, size_t n, int m,
                   enum dlp_id_finish how)
{
    int r;

    if (how == DLP_ID_ZERO)
        return dlp_weigh(x->d, w, n) % m == 0;
    r = dlp_weigh(x->d, w, n - 1) % m;
    if (how == DLP_ID_NEG || how == DLP_ID_NEG_0)
        r = (m - r) % m;
    if (how == DLP_ID_NEG_0 || how == DLP_ID_POS_0)
        r %= 10;
    return r == x->d[n - 1];
}

struct dlp_id dlp_id_behind(const struct dlp_id *x, const char *prefix)
{
    struct dlp_id rest = *x;
    size_t n = strlen(prefix);

    if (x->n > n && memcmp(x->s, prefix, n) == 0) {
        rest.s += n;
        rest.n -= n;
        memmove(rest.d, rest.d + n, DLP_ID_MAX - n);
    }
    return rest;
}

int dlp_id_index(const char *alphabet, char c)
{
    const char *at = strchr(alphabet, c);

    return at == NULL || c == '\0' ? -1 : (int)(at - alphabet);
}
