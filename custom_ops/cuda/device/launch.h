// How a kernel's body runs: on the GPU, or, compiled without nvcc, on the CPU (emulation/threads.h). The bodies and all
// that they index with are the same, so the tests of the CPU ops find their errors without a GPU.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "math/device.h"
#include "op/fail.h"

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#else
#include "cuda/emulation/threads.h"
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

// The lanes that share one row.
struct Warp {
  static constexpr int lanes = 32;
  int lane;
#if !defined(__CUDACC__)
  emulation::Thread* thread;
#endif

  KRYPTON_DEVICE double ShuffleXor(double value, [[maybe_unused]] int offset) const {
#if defined(__CUDA_ARCH__)
    return __shfl_xor_sync(0xffffffffu, value, offset);
#elif defined(__CUDACC__)
    return value;  // what nvcc makes for the host and nobody runs
#else
    return thread->Exchange(value, lane ^ offset);
#endif
  }
  template <class Combine>
  KRYPTON_DEVICE double Reduce(double value, const Combine& combine) const {
    for (int offset = lanes / 2; offset > 0; offset >>= 1) value = combine(value, ShuffleXor(value, offset));
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
    body(row, Warp{static_cast<int>(threadIdx.x)});
  }
}

inline unsigned Blocks(int64_t rows, int64_t rows_a_block) {
  constexpr int64_t kMost = 1 << 20;  // the rest in further rounds
  const int64_t blocks = (rows + rows_a_block - 1) / rows_a_block;
  return static_cast<unsigned>(blocks < kMost ? blocks : kMost);
}
#else
// The rows of a block are a number that is no map's width: rows that write to the same place fall to different threads.
constexpr int kRowsAtOnce = 7, kMostAcross = 4, kWarpsAtOnce = 3;
#endif

// Calls body(row, first, step) for all rows: a thread takes the channels first, first + step, ... of its row.
template <class Body>
void ForEachRow([[maybe_unused]] Stream stream, int64_t rows, int64_t channels, const Body& body) {
  if (rows == 0) return;
  int across = 1;
#if defined(__CUDACC__)
  while (across < channels && across < 128) across *= 2;
  const dim3 block(static_cast<unsigned>(across), static_cast<unsigned>(kThreads / across));
  RowsKernel<<<Blocks(rows, block.y), block, 0, stream>>>(rows, body);
  Check(cudaGetLastError(), "launch");
#else
  while (across < channels && across < kMostAcross) across *= 2;
  const int64_t blocks = rows > kRowsAtOnce ? emulation::kSets : 1;
  emulation::Launch(blocks, kRowsAtOnce * across, [&](int64_t block, const emulation::Thread& thread) {
    const int64_t first = thread.index() % across;
    for (int64_t row = block * kRowsAtOnce + thread.index() / across; row < rows; row += blocks * kRowsAtOnce) {
      body(row, first, static_cast<int64_t>(across));
    }
  });
#endif
}

// Calls body(row, warp) for all rows, a warp each.
template <class Body>
void ForEachWarp([[maybe_unused]] Stream stream, int64_t rows, const Body& body) {
  if (rows == 0) return;
#if defined(__CUDACC__)
  const dim3 block(32, kThreads / 32);
  WarpsKernel<<<Blocks(rows, block.y), block, 0, stream>>>(rows, body);
  Check(cudaGetLastError(), "launch");
#else
  const int64_t blocks = rows > kWarpsAtOnce ? emulation::kSets : 1;
  emulation::Launch(blocks, kWarpsAtOnce * Warp::lanes, [&](int64_t block, emulation::Thread& thread) {
    const int index = thread.index();
    for (int64_t row = block * kWarpsAtOnce + index / Warp::lanes; row < rows; row += blocks * kWarpsAtOnce) {
      body(row, Warp{index % Warp::lanes, &thread});
    }
  });
#endif
}

}  // namespace krypton::cuda
