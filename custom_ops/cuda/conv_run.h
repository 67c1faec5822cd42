// Runs a delta convolution's tiles (conv_program.h): as a kernel of the GPU, or on the CPU thread after thread, where
// the matrix product of a warp is emulated from the lanes' registers.
#pragma once

#include "cuda/conv_program.h"

namespace krypton::cuda {

#if defined(__CUDACC__)

// c += a b of one warp, one TF32 product.
__device__ inline void Mma(FragmentC& c, const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(c.v[0]), "+f"(c.v[1]), "+f"(c.v[2]), "+f"(c.v[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The small products first: they are summed before the large one cuts their digits off.
__device__ inline void MultiplyPieces(FragmentC& c, const FragmentA& a, const FragmentB& b, bool single) {
  const uint32_t a_hi[4] = {a.v[0].hi, a.v[1].hi, a.v[2].hi, a.v[3].hi}, b_hi[2] = {b.v[0].hi, b.v[1].hi};
  if (!single) {
    const uint32_t a_lo[4] = {a.v[0].lo, a.v[1].lo, a.v[2].lo, a.v[3].lo}, b_lo[2] = {b.v[0].lo, b.v[1].lo};
    Mma(c, a_lo, b_hi);
    Mma(c, a_hi, b_lo);
  }
  Mma(c, a_hi, b_hi);
}

template <class Program, bool kVectors, bool kLists>
__global__ void __launch_bounds__(Program::kThreads) ConvKernel(const ConvArguments g, int column_blocks) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<typename Program::Shared*>(memory);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const Tile tile = g.tiles[blockIdx.x / column_blocks];
  const int64_t column = int64_t{blockIdx.x % column_blocks} * Program::kColumns, group = blockIdx.y;
  if (!Program::Wanted(g, kLists)) return;
  Program::Begin(thread, g, tile, shared);
  __syncthreads();
  const int64_t stretches = Program::Stretches(g, tile, shared);
  typename Program::Registers registers;
  Program::Clear(registers.sums);
  const auto load = [&](int64_t index) {
    if (index < stretches) Program::template Load<kVectors, kLists>(thread, g, tile, index, column, group, shared);
    asm volatile("cp.async.commit_group;\n" ::: "memory");
  };
  for (int64_t i = 0; i < Program::kStages - 1; ++i) load(i);
  for (int64_t index = 0; index < stretches; ++index) {
    asm volatile("cp.async.wait_group %0;\n" ::"n"(Program::kStages - 2) : "memory");
    __syncthreads();  // everybody's copies are there, and everybody is done with the stage that is loaded next
    load(index + Program::kStages - 1);
    if (Program::Idle(warp, tile)) continue;
    const int stage = static_cast<int>(index % Program::kStages);
    Program::Clear(registers.parts);
    KRYPTON_UNROLL
    for (int step = 0; step < Program::kDepth / 8; ++step) {
      FragmentA a[Program::kTilesM];
      FragmentB b[Program::kTilesN];
      KRYPTON_UNROLL
      for (int m = 0; m < Program::kTilesM; ++m) a[m] = Program::LoadA(warp, lane, m, step, stage, shared);
      KRYPTON_UNROLL
      for (int n = 0; n < Program::kTilesN; ++n) b[n] = Program::LoadB(warp, lane, n, step, stage, shared);
      KRYPTON_UNROLL
      for (int m = 0; m < Program::kTilesM; ++m) {
        KRYPTON_UNROLL
        for (int n = 0; n < Program::kTilesN; ++n) MultiplyPieces(registers.parts[m][n], a[m], b[n], g.single);
      }
    }
    Program::AddParts(registers);
  }
  asm volatile("cp.async.wait_all;\n" ::: "memory");
  Program::Store(thread, g, column, group, shared, registers);
}

#else

// A sum of which tensor cores keep what float32 holds, cut off.
inline float CutOff(double sum) {
  const auto nearest = static_cast<float>(sum);
  return std::fabs(static_cast<double>(nearest)) > std::fabs(sum) ? std::nextafter(nearest, 0.0f) : nearest;
}

// c += a b for the 32 lanes of a warp, `a` and `b` pieces picked by `part_a` and `part_b`.
template <class PartA, class PartB>
void EmulateMma(FragmentC (&c)[32], const FragmentA (&a)[32], const FragmentB (&b)[32], const PartA& part_a,
                const PartB& part_b) {
  float left[16][8], right[8][8];
  for (int lane = 0; lane < 32; ++lane) {
    const int row = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) left[row + i % 2 * 8][t + i / 2 * 4] = FromBits(part_a(a[lane].v[i]));
    for (int i = 0; i < 2; ++i) right[t + i * 4][row] = FromBits(part_b(b[lane].v[i]));
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      double sum = c[lane].v[i];
      for (int k = 0; k < 8; ++k) sum += static_cast<double>(left[row][k]) * right[k][column];
      c[lane].v[i] = CutOff(sum);
    }
  }
}

template <class Program>
void EmulateWarp(int warp, const Tile& tile, int stage, bool single, const typename Program::Shared& shared,
                 typename Program::Registers* lanes) {
  const auto hi = [](const Pieces& pieces) { return pieces.hi; };
  const auto lo = [](const Pieces& pieces) { return pieces.lo; };
  const int first_row = warp / Program::kWarpsAcross * Program::kWarpRows;
  for (int step = 0; step < Program::kDepth / 8; ++step) {
    for (int m = 0; m < Program::kTilesM && first_row + m * 16 < tile.count; ++m) {
      FragmentA a[32];
      for (int lane = 0; lane < 32; ++lane) a[lane] = Program::LoadA(warp, lane, m, step, stage, shared);
      for (int n = 0; n < Program::kTilesN; ++n) {
        FragmentB b[32];
        FragmentC c[32];
        for (int lane = 0; lane < 32; ++lane) {
          b[lane] = Program::LoadB(warp, lane, n, step, stage, shared);
          c[lane] = lanes[lane].parts[m][n];
        }
        if (!single) {
          EmulateMma(c, a, b, lo, hi);
          EmulateMma(c, a, b, hi, lo);
        }
        EmulateMma(c, a, b, hi, hi);
        for (int lane = 0; lane < 32; ++lane) lanes[lane].parts[m][n] = c[lane];
      }
    }
  }
}

template <class Program, bool kVectors, bool kLists>
void EmulateTile(const ConvArguments& g, const Tile& tile, int64_t column, int64_t group) {
  if (!Program::Wanted(g, kLists)) return;
  // Not cleared: what no thread has loaded must not be read.
  const auto shared = std::make_unique<typename Program::Shared>();
  std::memset(shared.get(), 0xff, sizeof(typename Program::Shared));
  std::vector<typename Program::Registers> registers(Program::kThreads);
  for (int thread = 0; thread < Program::kThreads; ++thread) {
    Program::Begin(thread, g, tile, *shared);
    Program::Clear(registers[static_cast<size_t>(thread)].sums);
  }
  const int64_t stretches = Program::Stretches(g, tile, *shared);
  for (int64_t index = 0; index < stretches; ++index) {
    for (int thread = 0; thread < Program::kThreads; ++thread) {
      Program::template Load<kVectors, kLists>(thread, g, tile, index, column, group, *shared);
      Program::Clear(registers[static_cast<size_t>(thread)].parts);
    }
    for (int warp = 0; warp < Program::kThreads / 32; ++warp) {
      if (Program::Idle(warp, tile)) continue;
      EmulateWarp<Program>(warp, tile, static_cast<int>(index % Program::kStages), g.single, *shared,
                           registers.data() + warp * 32);
    }
    for (auto& r : registers) Program::AddParts(r);
  }
  for (int thread = 0; thread < Program::kThreads; ++thread) {
    Program::Store(thread, g, column, group, *shared, registers[static_cast<size_t>(thread)]);
  }
}

#endif

template <class Program, bool kVectors, bool kLists>
void RunProgram([[maybe_unused]] Stream stream, const ConvArguments& g, const TileList& list, int64_t groups) {
  const int64_t column_blocks = (g.columns + Program::kColumns - 1) / Program::kColumns;
#if defined(__CUDACC__)
  constexpr size_t kShared = sizeof(typename Program::Shared);
  const auto kernel = ConvKernel<Program, kVectors, kLists>;
  Check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kShared)),
        "shared memory");
  const dim3 grid(static_cast<unsigned>(static_cast<int64_t>(list.tiles.size()) * column_blocks),
                  static_cast<unsigned>(groups));
  kernel<<<grid, Program::kThreads, kShared, stream>>>(g, static_cast<int>(column_blocks));
  Check(cudaGetLastError(), "convolution");
#else
  for (const Tile& tile : list.tiles) {
    for (int64_t block = 0; block < column_blocks; ++block) {
      for (int64_t group = 0; group < groups; ++group) {
        EmulateTile<Program, kVectors, kLists>(g, tile, block * Program::kColumns, group);
      }
    }
  }
#endif
}

// Tiles of 128 pixels by 64 maps; a stretch is 32 deep.
using ConvTile = ConvProgram<128, 64, 32>;

// All tiles of all groups. Lists are for one group, and weights whose rows are multiples of four. Copies of 16 bytes
// need rows that are multiples of four entries.
inline void RunTiles(Stream stream, const ConvArguments& g, const TileList& list, int64_t groups) {
  if (list.tiles.empty()) return;
  if (g.lists != nullptr) {
    RunProgram<ConvTile, true, true>(stream, g, list, groups);
  } else if (g.channels % 4 == 0 && g.depth % 4 == 0 && g.w_pitch % 4 == 0 && g.w_group % 4 == 0) {
    RunProgram<ConvTile, true, false>(stream, g, list, groups);
  } else {
    RunProgram<ConvTile, false, false>(stream, g, list, groups);
  }
}

}  // namespace krypton::cuda
