/* router/budget.c - budgets: windows, who a budget is about, and the arithmetic of reservations. Pure: the time is passed
 * in, and callers serialise access to counters. */
#include "router/glob.h"
#include "router/router.h"

#define SECOND_MS ((int64_t)1000)
#define DAY_MS    (86400 * SECOND_MS)

const char *router_budget_kind_name(enum router_budget_kind k)
{
    static const char *const names[] = {"requests", "tokens", "cost", "concurrency"};

    return k < ROUTER_BUDGET_KINDS ? names[k] : "?";
}

/* ---- windows ---------------------------------------------------------------------------- */

/* "15m": a number and one letter. 0: it is none. */
static int64_t span_ms(struct gw_span text)
{
    int64_t n = 0, unit = 0;

    if (text.len < 2 || text.len > 8)
        return 0;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return 0;
        n = n * 10 + (text.ptr[i] - '0');
    }
    switch (text.ptr[text.len - 1]) {
    case 's':
        unit = SECOND_MS;
        break;
    case 'm':
        unit = 60 * SECOND_MS;
        break;
    case 'h':
        unit = 3600 * SECOND_MS;
        break;
    case 'd':
        unit = DAY_MS;
        break;
    default:
        return 0;
    }
    return n > 0 && n <= 366 * DAY_MS / unit ? n * unit : 0;
}

bool router_window_parse(struct gw_span text, struct router_window *out)
{
    static const struct {
        const char *word;
        struct router_window window;
    } words[] = {
        {"second", {ROUTER_WINDOW_SPAN, SECOND_MS}},
        {"minute", {ROUTER_WINDOW_SPAN, 60 * SECOND_MS}},
        {"hour", {ROUTER_WINDOW_SPAN, 3600 * SECOND_MS}},
        {"day", {ROUTER_WINDOW_SPAN, DAY_MS}},
        {"week", {ROUTER_WINDOW_WEEK, 0}},
        {"month", {ROUTER_WINDOW_MONTH, 0}},
    };
    int64_t ms;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (gw_span_is(text, words[i].word)) {
            *out = words[i].window;
            return true;
        }
    }
    ms = span_ms(text);
    if (ms == 0)
        return false;
    *out = (struct router_window){ROUTER_WINDOW_SPAN, ms};
    return true;
}

static int64_t floor_to(int64_t t, int64_t unit)
{
    int64_t rest = t % unit;

    return t - (rest < 0 ? rest + unit : rest);
}

/* Days since 1970 of the first day of a month, counted from 0 = March of year 0, and the month that holds a day (Howard
 * Hinnant, "chrono-compatible low-level date algorithms"). */
static int64_t day_of_month(int64_t months)
{
    int64_t y = floor_to(months, 12) / 12, m = months - y * 12, era = floor_to(y, 400) / 400;
    int64_t yoe = y - era * 400;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + (153 * m + 2) / 5 - 719468;
}

static int64_t month_of_day(int64_t day)
{
    int64_t z = day + 719468, era = floor_to(z, 146097) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);

    return (yoe + era * 400) * 12 + (5 * doy + 2) / 153;
}

int64_t router_window_start(const struct router_window *w, int64_t now_ms)
{
    const int64_t monday = 4 * DAY_MS; /* 1970-01-05 */

    switch (w->unit) {
    case ROUTER_WINDOW_WEEK:
        return floor_to(now_ms - monday, 7 * DAY_MS) + monday;
    case ROUTER_WINDOW_MONTH:
        return day_of_month(month_of_day(floor_to(now_ms, DAY_MS) / DAY_MS)) * DAY_MS;
    case ROUTER_WINDOW_SPAN:
    default:
        return floor_to(now_ms, w->ms < SECOND_MS ? SECOND_MS : w->ms);
    }
}

int64_t router_window_end(const struct router_window *w, int64_t start_ms)
{
    switch (w->unit) {
    case ROUTER_WINDOW_WEEK:
        return start_ms + 7 * DAY_MS;
    case ROUTER_WINDOW_MONTH:
        return day_of_month(month_of_day(floor_to(start_ms, DAY_MS) / DAY_MS) + 1) * DAY_MS;
    case ROUTER_WINDOW_SPAN:
    default:
        return start_ms + (w->ms < SECOND_MS ? SECOND_MS : w->ms);
    }
}

/* ---- whose budget ------------------------------------------------------------------------ */

static bool fits(const struct router_globs *g, struct gw_span text)
{
    return glob_match_any(g->items, g->n, text);
}

bool router_budget_matches(const struct router_budget *b, const struct router_subject *s)
{
    return fits(&b->keys, s->key) && fits(&b->users, s->user) && fits(&b->teams, s->team) &&
           fits(&b->models, s->model) && fits(&b->targets, s->target);
}

struct gw_span router_budget_owner(const struct router_budget *b, const struct router_subject *s)
{
    switch (b->per) {
    case ROUTER_PER_KEY:
        return s->key;
    case ROUTER_PER_USER:
        return s->user;
    case ROUTER_PER_TEAM:
        return s->team;
    case ROUTER_PER_MODEL:
        return s->model;
    case ROUTER_PER_TARGET:
        return s->target;
    case ROUTER_PER_ALL:
    case ROUTER_PER_COUNT:
    default:
        return GW_SPAN("");
    }
}

bool router_budget_by_target(const struct router_budget *b)
{
    return b->per == ROUTER_PER_TARGET || b->targets.n != 0;
}

/* ---- reservations ------------------------------------------------------------------------ */

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

uint64_t router_budget_left(const struct router_counter *c, uint64_t limit)
{
    return less(limit, add(c->used, c->held));
}

/* Claims that take or spend ask for room; those that only give do not. */
static bool has_room(const struct router_claim *c)
{
    uint64_t more = add(c->take, c->use > 0 ? (uint64_t)c->use : 0);
    uint64_t now = add(c->counter->used, less(c->counter->held, c->give));

    return c->forced || more == 0 || add(now, more) <= c->limit;
}

/* A counter's window never goes back: threads read their clocks at different times. */
static void roll(struct router_claim *c)
{
    if (c->counter->start_ms < c->start_ms)
        *c->counter = (struct router_counter){.start_ms = c->start_ms};
    else if (!c->forced && c->give == 0)
        c->start_ms = c->counter->start_ms;
}

bool router_budget_apply(struct router_claim *claims, unsigned n, unsigned *refused)
{
    for (unsigned i = 0; i < n; i++)
        roll(&claims[i]);
    for (unsigned i = 0; i < n; i++) {
        if (claims[i].counter->start_ms == claims[i].start_ms && !has_room(&claims[i])) {
            *refused = i;
            return false;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        struct router_counter *k = claims[i].counter;

        if (k->start_ms != claims[i].start_ms)
            continue;
        k->held = add(less(k->held, claims[i].give), claims[i].take);
        k->used = claims[i].use < 0 ? less(k->used, (uint64_t)-claims[i].use)
                                    : add(k->used, (uint64_t)claims[i].use);
    }
    return true;
}
