// Runs a delta convolution's tiles (block.h): as a kernel of the GPU, or on the CPU.
#pragma once

#include "cuda/conv/block.h"

#if defined(__CUDACC__)
#include "cuda/conv/thread.h"
#else
#include <cstring>
#include <memory>

#include "cuda/emulation/conv_thread.h"
#endif

namespace krypton::cuda {

#if defined(__CUDACC__)
template <class Program, bool kVectors, Reads kReads, bool kSingle>
__global__ void __launch_bounds__(Program::kThreads) ConvKernel(const ConvArguments g, int column_blocks) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<typename Program::Shared*>(memory);
  const Tile tile = g.tiles[blockIdx.x / column_blocks];
  const int64_t column = int64_t{blockIdx.x % column_blocks} * Program::kColumns, group = blockIdx.y;
  ConvThread self;
  ConvBlock<Program, kVectors, kReads, kSingle>(self, g, tile, column, group, shared);
}
#endif

template <class Program, bool kVectors, Reads kReads, bool kSingle>
void RunProgram([[maybe_unused]] Stream stream, const ConvArguments& g, const TileList& list, int64_t groups) {
  const int64_t column_blocks = (g.columns + Program::kColumns - 1) / Program::kColumns;
  const int64_t blocks = static_cast<int64_t>(list.tiles.size()) * column_blocks;  // of each group
#if defined(__CUDACC__)
  constexpr size_t kShared = sizeof(typename Program::Shared);
  const auto kernel = ConvKernel<Program, kVectors, kReads, kSingle>;
  Check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kShared)),
        "shared memory");
  const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(groups));
  kernel<<<grid, Program::kThreads, kShared, stream>>>(g, static_cast<int>(column_blocks));
  Check(cudaGetLastError(), "convolution");
#else
  using Thread = emulation::ConvThread<Program>;
  struct Memory {
    typename Program::Shared shared;
    typename Thread::Warp operands[Program::kThreads / emulation::kWarp];
  };
  const std::unique_ptr<Memory[]> memory(new Memory[emulation::kSets]);
  emulation::Launch(blocks * groups, Program::kThreads, [&](int64_t block, emulation::Thread& thread) {
    Memory& own = memory[thread.set()];
    const int64_t group = block / blocks, column = block % blocks % column_blocks * Program::kColumns;
    const Tile tile = g.tiles[block % blocks / column_blocks];
    // What no thread has loaded must not be read.
    if (thread.index() == 0) std::memset(&own.shared, 0xff, sizeof own.shared);
    thread.Barrier();
    const int warp = thread.index() / emulation::kWarp;
    Thread self(thread, own.operands[warp], tile.count - warp / Program::kWarpsAcross * Program::kWarpRows);
    ConvBlock<Program, kVectors, kReads, kSingle>(self, g, tile, column, group, own.shared);
  });
#endif
}

// Tiles of 128 pixels by 64 maps; a stretch is 32 deep.
using ConvTile = ConvProgram<128, 64, 32>;

// All tiles of all groups. Lists are for one group, and weights whose rows are multiples of four. Copies of 16 bytes
// need rows that are multiples of four entries, and lie at multiples of 16 bytes.
template <bool kSingle>
void RunTilesOf(Stream stream, const ConvArguments& g, const TileList& list, int64_t groups) {
  const auto aligned = [](const float* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; };
  const bool vectors = g.channels % 4 == 0 && g.depth % 4 == 0 && g.w_pitch % 4 == 0 && g.w_group % 4 == 0 &&
                       aligned(g.x) && aligned(g.w);
  if (g.lists != nullptr) {
    RunProgram<ConvTile, true, Reads::kLists, kSingle>(stream, g, list, groups);
  } else if (vectors && g.inside) {
    RunProgram<ConvTile, true, Reads::kInside, kSingle>(stream, g, list, groups);
  } else if (vectors) {
    RunProgram<ConvTile, true, Reads::kAnywhere, kSingle>(stream, g, list, groups);
  } else {
    RunProgram<ConvTile, false, Reads::kAnywhere, kSingle>(stream, g, list, groups);
  }
}

inline void RunTiles(Stream stream, const ConvArguments& g, const TileList& list, int64_t groups) {
  if (list.tiles.empty()) return;
  if (g.single) {
    RunTilesOf<true>(stream, g, list, groups);
  } else {
    RunTilesOf<false>(stream, g, list, groups);
  }
}

}  // namespace krypton::cuda
