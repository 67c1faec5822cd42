#!/usr/bin/env bash
# Code that is there twice, Python, C++ and CUDA alike: scripts/find_duplicates.sh [folder of another checkout]
#
# Prints how many pairs of at least six lines and fifty tokens there are, and the ten longest. Needs npx, which fetches
# jscpd. It is no step of .ci/run: some pairs, such as two pools' slots, read better where they are used.
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"
report=$(mktemp -d)
trap 'rm -r "$report"' EXIT
npx --yes jscpd@4 --pattern '{krypton_compile,passes,runtime,custom_ops,tests,benchmarks,models,examples,scripts}/**/*' \
  --format python,cpp --formats-exts 'python:py;cpp:cc,h,cu,cuh' --min-lines 6 --min-tokens 50 \
  --reporters json --silent --output "$report" . >"$report/log" 2>&1 || { cat "$report/log" >&2 && exit 1; }
python3 - "$report/jscpd-report.json" <<'PY'
import json, pathlib, sys

report = json.loads(pathlib.Path(sys.argv[1]).read_text())
total = report["statistics"]["total"]
print(f"{total['clones']} pairs, {total['duplicatedLines']} of {total['lines']} lines in {total['sources']} files")
for pair in sorted(report["duplicates"], key=lambda pair: -pair["tokens"])[:10]:
    first, second = (f"{pair[key]['name']}:{pair[key]['start']}" for key in ("firstFile", "secondFile"))
    print(f"{pair['tokens']:5} tokens, {pair['lines']:3} lines: {first} and {second}")
PY
