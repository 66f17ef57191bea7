// tests/bench/dlp/engine_re2.cc - RE2's set of all patterns. The library has no interface in C.
#include <re2/re2.h>
#include <re2/set.h>

#include "tests/bench/dlp/engines.h"

struct re2_engine {
    RE2::Set set;
    std::vector<int> found;
    explicit re2_engine(const RE2::Options &o) : set(o, RE2::UNANCHORED) {}
};

static void *re2_open(const struct bench_regex *all, unsigned n, unsigned *n_refused)
{
    RE2::Options o;
    o.set_encoding(RE2::Options::EncodingLatin1);
    o.set_max_mem(512 << 20);
    o.set_log_errors(false);
    o.set_dot_nl(true);
    re2_engine *e = new re2_engine(o);
    for (unsigned i = 0; i < n; i++) {
        std::string why;
        *n_refused += e->set.Add(all[i].text, &why) < 0;
    }
    if (e->set.Compile())
        return e;
    delete e;
    return nullptr;
}

static size_t re2_scan(void *engine, const char *text, size_t len)
{
    re2_engine *e = static_cast<re2_engine *>(engine);
    e->found.clear();
    e->set.Match(re2::StringPiece(text, len), &e->found);
    return e->found.size();
}

static void re2_close(void *engine)
{
    delete static_cast<re2_engine *>(engine);
}

const struct bench_engine bench_re2 = {"RE2", re2_open, re2_scan, re2_close};
