/* dlp/native.c - native matchers for rules that run in the interpreter: emit, compile and load one shard after the other,
 * and put its matchers in place while others scan.
 *
 * A shard's object is named by the hash of its source, which holds the ABI's text: the same patterns are the same file, and
 * a file of that name that says so inside needs no building. Thread: one at a time per set. */
#include <sys/stat.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dlp/bundle.h"
#include "dlp/confine.h"
#include "dlp/rulec_emit.h"

enum {
    MAX_PATH = 4096,
    PATTERNS_PER_SHARD = 16,
    TOOL_S = 120,
    HEX = 64,
    KEPT_S = 7 * 24 * 3600, /* objects that nothing used for so long are removed */
};

/* What was compiled for a set. */
struct native {
    void **objects; /* dlopen handles, one a shard */
    unsigned n;
};

/* One shard on its way. */
struct shard {
    struct dlp_rules *rules;
    const struct dlp_compile *c;
    uint32_t *pattern; /* numbers of the patterns that its matchers are for, in order */
    unsigned n;
    char digest[HEX + 1];
    char path[MAX_PATH];
};

void native_free(struct native *n)
{
    if (n == NULL)
        return;
    for (unsigned i = 0; i < n->n; i++)
        if (n->objects[i] != NULL)
            (void)dlclose(n->objects[i]);
    free(n->objects);
    free(n);
}

unsigned dlp_rules_interpreted(const struct dlp_rules *r)
{
    unsigned n = 0;

    for (unsigned i = 0; i < r->b->n_patterns + r->b->n_near_patterns; i++)
        n += atomic_load_explicit(&r->match[i], memory_order_relaxed) == NULL;
    return n;
}

/* ---- building --------------------------------------------------------------------------- */

static enum gw_status write_file(const char *path, struct gw_span text, struct gw_err *err)
{
    FILE *f = fopen(path, "wxe");
    bool ok = f != NULL && fwrite(text.ptr, 1, text.len, f) == text.len;

    if (f != NULL && fclose(f) != 0)
        ok = false;
    return ok ? GW_OK
              : gw_fail(err, GW_EIO, "%s: %s; cannot write there", path, strerrordesc_np(errno));
}

static void in_dir(char out[MAX_PATH], const char *dir, const char *name)
{
    (void)snprintf(out, MAX_PATH, "%.*s/%s", MAX_PATH - 100, dir, name);
}

/* Compiles source in a folder of its own beside where the object goes. */
static enum gw_status build(const struct shard *s, struct gw_span source, struct gw_err *err)
{
    static const char *const names[] = {"shard.re", "shard.c", "shard.so", "log"};
    static const char *const re2c[] = {"re2c", RULEC_RE2C_FLAGS, "-o", "shard.c", "shard.re", NULL};
    static const char *const cc[] = {
        "cc", "-std=c11", "-O1",     "-w", "-shared", "-fPIC", "-fvisibility=hidden",
        "-o", "shard.so", "shard.c", NULL};
    char dir[MAX_PATH], path[MAX_PATH], log[MAX_PATH];
    struct confine c = {.dir = dir, .log = log, .max_s = TOOL_S, .stop = s->c->stop};
    enum gw_status st;

    in_dir(dir, s->c->dir, ".build-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return gw_fail(err, GW_EIO, "%s: %s; cannot build there", s->c->dir,
                       strerrordesc_np(errno));
    in_dir(log, dir, "log");
    in_dir(path, dir, "shard.re");
    st = write_file(path, source, err);
    if (st == GW_OK)
        st = confine_run(re2c, &c, err);
    if (st == GW_OK)
        st = confine_run(cc, &c, err);
    in_dir(path, dir, "shard.so");
    if (st == GW_OK && rename(path, s->path) != 0)
        st = gw_fail(err, GW_EIO, "%s: %s", s->path, strerrordesc_np(errno));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        in_dir(path, dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
    return st;
}

/* ---- checking --------------------------------------------------------------------------- */

static bool same_match(const struct bundle_match *a, const struct bundle_match *b)
{
    return a->len == b->len && a->cut == b->cut &&
           (a->len == 0 || (a->start == b->start && a->end == b->end));
}

/* Does a native matcher say what the interpreter says, at every byte of the rule's examples? */
static bool agrees(const struct dlp_rules *r, uint32_t pattern, bundle_match_fn *match,
                   struct bundle_memo *memo)
{
    const struct bundle_rule *rule = &r->b->rules[r->b->patterns[pattern].rule];

    for (unsigned i = 0; i < rule->n_examples; i++) {
        const unsigned char *s = (const unsigned char *)rule->examples[i].text.ptr;
        const unsigned char *end = s + rule->examples[i].text.len;

        memset(memo, 0, (r->b->n_memos + 1) * sizeof(*memo));
        for (; s < end; s++) {
            struct bundle_match a = {.epoch = 1, .memo = memo}, b = {.epoch = 2, .memo = memo};

            interp_match(&r->owned.programs[pattern], s, end, &a);
            match(s, end, &b);
            if (!same_match(&a, &b))
                return false;
        }
    }
    return true;
}

static enum gw_status check(const struct shard *s, const struct bundle_shard *b, struct gw_err *err)
{
    struct bundle_memo *memo = NULL;
    enum gw_status st = GW_OK;

    if (b == NULL || b->abi != BUNDLE_ABI || b->size != sizeof(*b) ||
        strncmp(b->digest, s->digest, HEX) != 0 || b->n != s->n)
        return gw_fail(err, GW_ECORRUPT, "%s: not what was built from these rules; remove it",
                       s->path);
    memo = calloc(s->rules->b->n_memos + 1, sizeof(*memo));
    if (memo == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the rules");
    for (unsigned i = 0; i < s->n && st == GW_OK; i++)
        if (!agrees(s->rules, s->pattern[i], b->match[i], memo))
            st = gw_fail(err, GW_ECORRUPT,
                         "%s: rule %s matches otherwise than in the interpreter, which goes on",
                         s->path, s->rules->b->rules[s->rules->b->patterns[s->pattern[i]].rule].id);
    free(memo);
    return st;
}

/* Loads the object and puts its matchers in place. */
static enum gw_status load(const struct shard *s, void **object, struct gw_err *err)
{
    const struct bundle_shard *b = NULL;
    enum gw_status st = dlp_rules_check_trust(s->path, err);
    void *o = NULL;

    if (st != GW_OK)
        return st;
    o = dlopen(s->path, RTLD_NOW | RTLD_LOCAL);
    if (o == NULL)
        return gw_fail(err, GW_ECORRUPT, "%s: %s", s->path,
                       dlerror()); // NOLINT(concurrency-mt-unsafe): per thread in glibc
    b = dlsym(o, BUNDLE_SHARD_SYMBOL);
    st = check(s, b, err);
    if (st != GW_OK) {
        (void)dlclose(o);
        return st;
    }
    for (unsigned i = 0; i < s->n; i++)
        atomic_store_explicit(&s->rules->match[s->pattern[i]], b->match[i], memory_order_release);
    *object = o;
    (void)utimensat(AT_FDCWD, s->path, NULL, 0); /* see prune() */
    return GW_OK;
}

/* ---- shards ----------------------------------------------------------------------------- */

/* Numbers the patterns of the shard's rules in the order of emit_shard(). */
static void number_patterns(struct shard *s, unsigned shard, unsigned n_shards)
{
    const struct rulec_set *set = s->rules->owned.set;
    uint32_t pattern = s->rules->owned.first_pattern, near = s->rules->owned.first_near;

    s->n = 0;
    for (unsigned i = 0; i < set->n_rules; i++) {
        const struct rulec_rule *r = &set->rules[i];
        bool mine = emit_shard_of(r, n_shards) == shard;

        if (r->mode == DLP_MODE_OFF)
            continue;
        for (unsigned k = 0; k < r->n_patterns; k++, pattern++)
            if (mine)
                s->pattern[s->n++] = pattern;
        for (unsigned k = 0; k < r->n_nears; k++, near++)
            if (mine)
                s->pattern[s->n++] = near;
    }
}

/* One shard: from the folder, or built. */
static enum gw_status make_shard(struct shard *s, unsigned shard, struct dlp_compile *c,
                                 void **object, struct gw_err *err)
{
    struct gw_buf source = {NULL, 0, 0, false};
    char name[HEX + 8];
    unsigned n = 0;
    enum gw_status st;

    number_patterns(s, shard, c->n_shards);
    if (s->n == 0 || *object != NULL)
        return GW_OK;
    st = emit_shard(s->rules->owned.set, shard, c->n_shards, &source, &n, s->digest, err);
    if (st != GW_OK)
        goto out;
    (void)snprintf(name, sizeof(name), "%s.so", s->digest);
    in_dir(s->path, c->dir, name);
    if (access(s->path, F_OK) == 0) {
        st = load(s, object, err);
        if (st != GW_ECORRUPT)
            goto out;
        (void)unlink(s->path); /* cut short by a crash, say */
    }
    st = build(s, gw_buf_span(&source), err);
    c->n_built++;
    if (st == GW_OK)
        st = load(s, object, err);
out:
    gw_buf_fini(&source);
    return st;
}

static unsigned count_patterns(const struct rulec_set *set)
{
    unsigned n = 0;

    for (unsigned i = 0; i < set->n_rules; i++)
        n += set->rules[i].n_patterns + set->rules[i].n_nears;
    return n;
}

static struct native *native_new(unsigned n)
{
    struct native *x = calloc(1, sizeof(*x));

    if (x == NULL)
        return NULL;
    x->objects = calloc(n + 1, sizeof(void *));
    x->n = n;
    if (x->objects == NULL) {
        free(x);
        return NULL;
    }
    return x;
}

/* Removes objects that were not loaded for a week: loading touches them. */
static void prune(const char *dir)
{
    DIR *d = opendir(dir);
    time_t now = time(NULL);

    if (d == NULL)
        return;
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char path[MAX_PATH];
        struct stat s;

        if (strlen(e->d_name) != HEX + 3 || strcmp(e->d_name + HEX, ".so") != 0)
            continue;
        in_dir(path, dir, e->d_name);
        if (stat(path, &s) == 0 && now - s.st_mtime > KEPT_S)
            (void)unlink(path);
    }
    (void)closedir(d);
}

static enum gw_status make_all(struct dlp_rules *r, struct dlp_compile *c, struct shard *s,
                               struct gw_err *err)
{
    for (unsigned i = 0; i < c->n_shards; i++) {
        if (c->stop != NULL && atomic_load_explicit(c->stop, memory_order_relaxed))
            return gw_fail(err, GW_ECANCELED, "compiling the rules was stopped");
        GW_TRY(make_shard(s, i, c, &r->native->objects[i], err));
    }
    prune(c->dir);
    return GW_OK;
}

enum gw_status dlp_rules_compile(struct dlp_rules *r, struct dlp_compile *c, struct gw_err *err)
{
    struct shard s = {.rules = r, .c = c};
    unsigned n_patterns = r->owned.set == NULL ? 0 : count_patterns(r->owned.set);
    enum gw_status st;

    c->n_built = 0;
    c->n_shards = (n_patterns + PATTERNS_PER_SHARD - 1) / PATTERNS_PER_SHARD;
    if (n_patterns == 0)
        return GW_OK;
    /* A power of two: another rule more or less leaves the others where they are. */
    while ((c->n_shards & (c->n_shards - 1)) != 0)
        c->n_shards++;
    if (mkdir(c->dir, 0700) != 0 && errno != EEXIST)
        return gw_fail(err, GW_EIO, "%s: %s; cannot keep compiled rules there", c->dir,
                       strerrordesc_np(errno));
    if (r->native == NULL)
        r->native = native_new(c->n_shards);
    s.pattern = calloc(n_patterns, sizeof(*s.pattern));
    st = r->native == NULL || s.pattern == NULL ? gw_fail(err, GW_ENOMEM, "out of memory")
                                                : make_all(r, c, &s, err);
    free(s.pattern);
    return st;
}
