// How a kernel's body runs: on the GPU, or, compiled without nvcc, on the CPU one thread after the other. The bodies
// and all that they index with are the same, so the tests of the CPU ops find their errors without a GPU.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "common/boxes.h"
#include "common/device.h"

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#endif

namespace krypton::cuda {

#if defined(__CUDACC__)
using Stream = cudaStream_t;

inline void Check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) Fail(std::string("CUDA: ") + what + ": " + cudaGetErrorString(error));
}
#else
using Stream = void*;
#endif

// The lanes that share one row; on the CPU there is one.
struct Warp {
  int lane, lanes;

  template <class Combine>
  KRYPTON_DEVICE double Reduce(double value, [[maybe_unused]] const Combine& combine) const {
#if defined(__CUDA_ARCH__)
    for (int offset = 16; offset > 0; offset >>= 1) {
      value = combine(value, __shfl_xor_sync(0xffffffffu, value, offset));
    }
#endif
    return value;
  }
  KRYPTON_DEVICE double Sum(double value) const {
    return Reduce(value, [](double a, double b) { return a + b; });
  }
  KRYPTON_DEVICE double Max(double value) const {
    return Reduce(value, [](double a, double b) { return a > b ? a : b; });
  }
};

#if defined(__CUDACC__)
constexpr int kThreads = 256;

template <class Body>
__global__ void RowsKernel(int64_t rows, Body body) {
  for (int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y; row < rows;
       row += int64_t{gridDim.x} * blockDim.y) {
    body(row, static_cast<int64_t>(threadIdx.x), static_cast<int64_t>(blockDim.x));
  }
}

template <class Body>
__global__ void WarpsKernel(int64_t rows, Body body) {
  for (int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y; row < rows;
       row += int64_t{gridDim.x} * blockDim.y) {
    body(row, Warp{static_cast<int>(threadIdx.x), 32});
  }
}

inline unsigned Blocks(int64_t rows, int64_t rows_a_block) {
  constexpr int64_t kMost = 1 << 20;  // the rest in further rounds
  const int64_t blocks = (rows + rows_a_block - 1) / rows_a_block;
  return static_cast<unsigned>(blocks < kMost ? blocks : kMost);
}
#endif

// Calls body(row, first, step) for all rows: a thread takes the channels first, first + step, ... of its row.
template <class Body>
void ForEachRow([[maybe_unused]] Stream stream, int64_t rows, [[maybe_unused]] int64_t channels, const Body& body) {
#if defined(__CUDACC__)
  if (rows == 0) return;
  int across = 1;
  while (across < channels && across < 128) across *= 2;
  const dim3 block(static_cast<unsigned>(across), static_cast<unsigned>(kThreads / across));
  RowsKernel<<<Blocks(rows, block.y), block, 0, stream>>>(rows, body);
  Check(cudaGetLastError(), "launch");
#else
  for (int64_t row = 0; row < rows; ++row) body(row, int64_t{0}, int64_t{1});
#endif
}

// Calls body(row, warp) for all rows, a warp each.
template <class Body>
void ForEachWarp([[maybe_unused]] Stream stream, int64_t rows, const Body& body) {
#if defined(__CUDACC__)
  if (rows == 0) return;
  const dim3 block(32, kThreads / 32);
  WarpsKernel<<<Blocks(rows, block.y), block, 0, stream>>>(rows, body);
  Check(cudaGetLastError(), "launch");
#else
  for (int64_t row = 0; row < rows; ++row) body(row, Warp{0, 1});
#endif
}

}  // namespace krypton::cuda
