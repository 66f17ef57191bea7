# Fails on an #include that goes up or sideways in the folder order, or past a public header, and on a
# third-party header outside the files that own it.
# usage: awk -f tests/lint/layers.awk FILE...
BEGIN {
    allow["base"]    = "base"
    allow["kernels"] = "base kernels"
    allow["rules"]   = "base rules"
    allow["audit"]   = "base audit"
    allow["router"]  = "base router"
    allow["dlp"]     = "base rules dlp"
    allow["engine"]  = "base kernels engine"
    allow["proxy"]   = "base dlp router engine audit proxy"
    allow["tests"]   = "base kernels rules audit router dlp engine proxy tests"
    public["kernels/quant.h"]; public["kernels/encode.h"]; public["kernels/cuda.h"]; public["dlp/author.h"]; public["audit/sink.h"] # besides base/*.h and NAME/NAME.h
    # Inside proxy/: the folders that know no request stand alone; the others serve one another.
    alone["http"]     = "http"
    alone["api"]      = "api"
    alone["config"]   = "config"
    alone["store"]    = "store"
    alone["fetch"]    = "fetch"
    alone["tls"]      = "tls"
    alone["import"]   = "import"
    alone["sink"]     = "sink config tls"
    alone["probe"]    = "probe api config provider sink store tls"
    alone["identity"] = "identity config fetch store"
    alone["provider"] = "provider api config fetch http"
    owner["event2"]     = "^(proxy|tests)/"
    owner["openssl"]    = "^(proxy/|tests/|base/(digest|ed25519|hpke)\\.c)"
    owner["librdkafka"] = "^(audit/kafka|tests/)"
    owner["yaml"]       = "^base/yaml\\.c"
    owner["sqlite3"]    = "^(proxy/store/|tests/)"
    owner["hiredis"]    = "^(proxy/redis/|proxy/cache/cache_redis|proxy/limits/limits_(redis|script)|proxy/cmd/cmd_budgets|proxy/probe/|tests/)"
    owner["curl"]       = "^proxy/(fetch|probe|sink)/"
    owner["zlib"]       = "^(dlp/view_inflate|proxy/(fetch/|http/encoding|provider/provider_aws)|tests/)"
    owner["cuda"]       = "^(kernels/.*\\.cuh?$|tests/simt/)" # which emulates its device
    owner["immintrin"]  = "(avx2|avx512)\\.[ch]$"
}
function complain(why) {
    printf "%s:%d: %s: %s\n", FILENAME, FNR, q[2], why > "/dev/stderr"
    bad = 1
}
FNR == 1 && seen[FILENAME]++ == 0 { files++ }
{ if (FNR == 601) { printf "%s: above 600 lines\n", FILENAME > "/dev/stderr"; bad = 1 } }
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split(FILENAME, from, "/"); split($0, q, "\""); split(q[2], to, "/")
    if (index(" " allow[from[1]] " ", " " to[1] " ") == 0)
        complain(from[1] " may not include " to[1])
    else if (from[1] != to[1] && from[1] != "tests" && to[1] != "base" \
             && to[2] != to[1] ".h" && !(q[2] in public))
        complain("private to " to[1])
    else if (from[1] == "proxy" && to[1] == "proxy" && 3 in from && 3 in to && (from[2] in alone) \
             && index(" " alone[from[2]] " ", " " to[2] " ") == 0)
        complain("proxy/" from[2] " may not include proxy/" to[2])
}
/^[ \t]*#[ \t]*include[ \t]*</ {
    split($0, q, /[<>]/); split(q[2], to, /[\/.]/)
    if (to[1] ~ /^cuda/) to[1] = "cuda"
    if ((to[1] in owner) && FILENAME !~ owner[to[1]])
        complain("this library belongs to files that match " owner[to[1]])
}
END { exit bad }
