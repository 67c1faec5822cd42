#!/usr/bin/env bash
# Everything that wants a GPU, in a few minutes: scripts/check_gpu.sh FOLDER. Logs and JSON go to the folder; a step that
# fails does not keep the others from running. KRYPTON_HARNESS_LIBRARY names libkrypton_harness.so (docs/cuda.md).
set -uo pipefail
: "${KRYPTON_HARNESS_LIBRARY:?names libkrypton_harness.so, built with KRYPTON_CUDA and KRYPTON_HARNESS}"
export KRYPTON_HARNESS_DEVICE=cuda
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:?a folder}
mkdir -p "$out"
failed=0

step() {
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$out/$name.log" 2>&1; then
    echo "$name: $((SECONDS - start)) s"
  else
    echo "$name: FAILED after $((SECONDS - start)) s, see $out/$name.log"
    failed=1
  fi
}

date --iso-8601=seconds >"$out/hardware.txt"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee -a "$out/hardware.txt"
some="conv or pool or softmax or add"
step ops python -m pytest -q tests/ops/test_harness.py
step layers python -m benchmarks.cuda "$KRYPTON_HARNESS_LIBRARY" --check --output "$out/layers.json"
if command -v compute-sanitizer >/dev/null; then
  step memcheck compute-sanitizer --tool memcheck --error-exitcode 9 python -m pytest -q tests/ops/test_harness.py -k "$some"
  step racecheck compute-sanitizer --tool racecheck --error-exitcode 9 python -m pytest -q tests/ops/test_harness.py -k crowded
fi
if python -c 'import onnxruntime, sys; sys.exit("CUDAExecutionProvider" not in onnxruntime.get_available_providers())'; then
  step maps python -m benchmarks.core --device cuda --pictures 2 --json "$out/maps.json"
fi
if command -v ncu >/dev/null; then
  step profile ncu --set full --kernel-name regex:ConvKernel --launch-count 3 --csv \
    python -m benchmarks.cuda "$KRYPTON_HARNESS_LIBRARY" --networks VGG16
fi
exit "$failed"
