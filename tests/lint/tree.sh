#!/bin/sh
# Checks of the tree that no compiler makes: long files, unfinished marks, paths of one machine, shell scripts that do not parse, fuzz
# targets that would link nothing.
cd "$(dirname "$0")/../.." || exit 1
bad=0
complain() { echo "$1" >&2; bad=1; }

files=$(git ls-files -- '*.c' '*.h' '*.re' '*.cu' '*.py' '*.sh' '*.mjs' | grep -v -e '^engine/unicode_table.h$')
for f in $files; do
    [ -f "$f" ] || continue
    n=$(wc -l <"$f")
    [ "$n" -le 600 ] || complain "$f: $n lines, the cap is 600"
done
marks=$(printf '%s\n' $files | xargs grep -nE '\b(TODO|FIXME|XXX)\b' 2>/dev/null | grep -v '^tests/lint/tree.sh')
[ -z "$marks" ] || complain "unfinished marks:
$marks"
paths=$(git ls-files | grep -v '^tests/lint/tree.sh$' | xargs grep -nIE '(/wor[k]/|/roo[t]/|/tmp/b[-])' 2>/dev/null)
[ -z "$paths" ] || complain "paths of one machine:
$paths"
for f in tests/fuzz/fuzz_*.c; do # tests/fuzz/fuzz.mk links the folders of these headers
    grep -qE '^#include "(base|kernels|audit|router|dlp|engine|proxy)/' "$f" || complain "$f: includes no header of the folder it is about"
done
for f in $(git ls-files -- '*.sh' .ci/run); do
    case $(head -n 1 "$f") in
    *bash*) bash -n "$f" || bad=1 ;;
    '#!/bin/sh'*) sh -n "$f" || bad=1 ;;
    esac
done
exit $bad
