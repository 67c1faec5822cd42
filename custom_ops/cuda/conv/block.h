// The loop of a block's threads over the stretches of one tile (program.h): the one body of the GPU's kernel and
// of its emulation. What differs is the thread that runs it:
//
//   index()                        in the block
//   Barrier()                      all threads of the block are here
//   Copy<kBytes>(to, from, there)  four bytes or sixteen from global to shared memory, or zeros, some time until a Wait
//   Commit(), Wait<kGroups>()      the copies since the last Commit are a group; all but the last kGroups are done
//   Multiply<kSingle>(c, a, b)     c += a b of a warp, in which all of its lanes take part
#pragma once

#include "cuda/conv/program.h"

namespace krypton::cuda {

template <class Program, bool kVectors, Reads kReads, bool kSingle, class Thread>
KRYPTON_KERNEL inline void ConvBlock(Thread& self, const ConvArguments& g, const Tile& tile, int64_t column,
                                     int64_t group, typename Program::Shared& shared) {
  const int thread = self.index(), warp = thread / 32, lane = thread % 32;
  constexpr bool kLists = kReads == Reads::kLists;
  if (!Program::Wanted(g, kLists)) return;
  Program::Begin(thread, g, tile, shared);
  self.Barrier();
  const int64_t stretches = Program::Stretches(g, tile, shared);
  typename Program::Registers registers;
  Program::Clear(registers.sums);
  Cursor cursor{tile.ky0, tile.kx0, 0, static_cast<int32_t>(Program::PieceLength(g, tile))};
  const auto load = [&](int64_t index) {
    if (index < stretches) {
      if constexpr (kReads == Reads::kInside) {
        const int stage = static_cast<int>(index % Program::kStages);
        Program::LoadInside(self, g, tile, stage, column, group, cursor, shared);
      } else {
        Program::template Load<kVectors, kLists>(self, g, tile, index, column, group, shared);
      }
    }
    self.Commit();
  };
  for (int64_t i = 0; i < Program::kStages - 1; ++i) load(i);
  for (int64_t index = 0; index < stretches; ++index) {
    self.template Wait<Program::kStages - 2>();
    self.Barrier();  // everybody's copies are there, and everybody is done with the stage that is loaded next
    load(index + Program::kStages - 1);
    if (Program::Idle(warp, tile)) continue;
    const int stage = static_cast<int>(index % Program::kStages);
    Program::Clear(registers.parts);
    KRYPTON_UNROLL
    for (int step = 0; step < Program::kDepth / 8; ++step) {
      FragmentA a[Program::kTilesM];
      FragmentB b[Program::kTilesN];
      KRYPTON_UNROLL
      for (int m = 0; m < Program::kTilesM; ++m)
        a[m] = Program::template LoadA<kSingle>(warp, lane, m, step, stage, shared);
      KRYPTON_UNROLL
      for (int n = 0; n < Program::kTilesN; ++n)
        b[n] = Program::template LoadB<kSingle>(warp, lane, n, step, stage, shared);
      self.template Multiply<kSingle>(registers.parts, a, b);
    }
    Program::AddParts(registers);
  }
  self.template Wait<0>();
  Program::Store(thread, g, column, group, shared, registers);
}

}  // namespace krypton::cuda
