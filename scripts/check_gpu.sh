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
    return 1
  fi
}

date --iso-8601=seconds >"$out/hardware.txt"
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit,mig.mode.current --format=csv |
  tee -a "$out/hardware.txt"
nvidia-smi | grep -o 'CUDA[A-Za-z ]*Version: [0-9.]*' | tee -a "$out/hardware.txt"
# Before all else one op: a driver older than the nvcc of the build, or a GPU without code, fails everywhere.
if ! step one-op python -m pytest -q tests/ops/test_harness.py -k scale; then
  tail -n 20 "$out/one-op.log"
  exit 1
fi
some="conv or pool or softmax or add"
step ops python -m pytest -q tests/ops/test_harness.py
step layers python -m benchmarks.cuda "$KRYPTON_HARNESS_LIBRARY" --check --output "$out/layers.json"
if command -v compute-sanitizer >/dev/null; then
  # torch's pool would hide what reads beyond the end of a tensor; errors of calls are ours to report.
  sanitize() {
    PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool "$1" --report-api-errors no --error-exitcode 9 \
      python -m pytest -q tests/ops/test_harness.py -k "$2"
  }
  step memcheck sanitize memcheck "$some"
  step racecheck sanitize racecheck crowded
  step synccheck sanitize synccheck crowded
  step initcheck sanitize initcheck "crowded or 24->24"
fi
if python -c 'import onnxruntime, sys; sys.exit("CUDAExecutionProvider" not in onnxruntime.get_available_providers())'; then
  step maps python -m benchmarks.maps.core --device cuda --pictures 2 --json "$out/maps.json"
fi
if command -v ncu >/dev/null; then
  # Of each layer two calls: with lists, without, and what makes the lists.
  for layer in conv2 conv6 conv10; do
    step "profile-$layer" ncu --set full --kernel-name 'regex:ConvKernel|RowsKernel|WarpsKernel' --launch-count 12 --csv \
      python -m benchmarks.cuda "$KRYPTON_HARNESS_LIBRARY" --networks VGG16 --layers "$layer"
  done
fi
exit "$failed"
