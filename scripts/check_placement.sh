#!/usr/bin/env bash
# onnxruntime-gpu's own CUDA provider with our ops, without a GPU: scripts/check_placement.sh [pytest arguments]
#
# tests/standins stand in for CUDA's libraries, where pip would have put those. The tests run twice: with the GPU's
# kernels run on the CPU, and, where there is nvcc, with its library on memory that the host cannot touch. Needs what
# ./krypton needs, binutils, and 1.5 GB of disk in build/standins. ONNXRUNTIME_GPU names another version of the package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$PWD/build/standins
bin=$work/venv/bin

"$bin/python" -c '' 2>/dev/null || "${PYTHON:-python3}" -m venv --clear "$work/venv"
pip() { "$bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
pip install --upgrade "${ONNXRUNTIME_GPU:-onnxruntime-gpu}" pytest
pip install --no-deps --upgrade --target "$work/headers" 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-crt==13.0.*'
pip install -e . -C build-dir=build/standins/emulated -C cmake.define.KRYPTON_EMULATE_PROVIDER=ON
cuda=
if command -v nvcc >/dev/null; then
  pip install --no-deps --upgrade --target "$work/nvcc" -C build-dir=build/standins/nvcc-objects \
    -C cmake.define.KRYPTON_CUDA=ON -C cmake.define.KRYPTON_CUDA_RUNTIME=Shared .
  cuda=$work/nvcc/krypton_compile/lib/libkrypton_ops_cuda.so
fi

# The driver's library is the system's; the others lie where pip puts them, and the runtime must find them there.
packages=$("$bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$bin/python" tests/standins/build.py "$packages/onnxruntime" "$work/headers" "$work/libraries" ${cuda:+"$cuda"}
rm -rf "$packages/nvidia" "$work/driver"
mkdir -p "$packages/nvidia/cu13/lib" "$packages/nvidia/cudnn/lib" "$work/driver"
ln -s "$work"/libraries/lib*.so.*[0-9] "$packages/nvidia/cu13/lib/"
mv "$packages"/nvidia/cu13/lib/libcudnn.so.9 "$packages/nvidia/cudnn/lib/"
mv "$packages"/nvidia/cu13/lib/libcuda.so.1 "$work/driver/"

export KRYPTON_STANDINS=$work/libraries LD_LIBRARY_PATH=$work/driver
unset KRYPTON_OPS_LIBRARY KRYPTON_STANDIN_GUARD
echo "==> The GPU's kernels run on the CPU"
"$bin/python" -m pytest -q tests/standins "$@"
if [[ -n $cuda ]]; then
  echo "==> nvcc's library, on memory that the host cannot touch"
  KRYPTON_STANDIN_GUARD=1 KRYPTON_OPS_LIBRARY=$cuda "$bin/python" -X faulthandler -m pytest -q tests/standins "$@"
fi
echo "==> onnxruntime's own ops that have no kernel for CUDA"
"$bin/python" -m tests.standins.kernels
