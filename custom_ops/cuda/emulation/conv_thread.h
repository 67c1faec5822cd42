// The GPU's thread of cuda/conv/block.h on the CPU (threads.h).
//
// An asynchronous copy may happen at any time from where it is issued to the wait that retires it: here at both ends.
// Where it is issued NaN is written, and at the wait what was meant, so what is read in between is wrong, and a race to
// ThreadSanitizer unless it is the thread's own. Float by float: GCC's ThreadSanitizer does not see a memset.
#pragma once

#include <cmath>
#include <deque>
#include <limits>
#include <utility>
#include <vector>

#include "cuda/conv/program.h"
#include "cuda/emulation/threads.h"

namespace krypton::cuda::emulation {

// The operands that the lanes of a warp hand to the tensor cores. ThreadSanitizer must not see it: it orders nothing.
template <int kM, int kN>
struct Operands {
  Pieces a[kM][16][8], b[kN][8][8];
};

// A sum of which tensor cores keep what float32 holds, cut off.
inline float CutOff(double sum) {
  const auto nearest = static_cast<float>(sum);
  return std::fabs(static_cast<double>(nearest)) > std::fabs(sum) ? std::nextafter(nearest, 0.0f) : nearest;
}

template <int kM, int kN>
__attribute__((no_sanitize("thread"))) void Give(int lane, const FragmentA (&a)[kM], const FragmentB (&b)[kN],
                                                 Operands<kM, kN>* all) {
  const int row = lane / 4, t = lane % 4;
  for (int m = 0; m < kM; ++m) {
    for (int i = 0; i < 4; ++i) all->a[m][row + i % 2 * 8][t + i / 2 * 4] = a[m].v[i];
  }
  for (int n = 0; n < kN; ++n) {
    for (int i = 0; i < 2; ++i) all->b[n][t + i * 4][row] = b[n].v[i];
  }
}

// The bits of a register that tensor cores read.
constexpr uint32_t kRead = ~0x1fffu;

// c += a b for one lane's part of c, of pieces `part_a` and `part_b`.
__attribute__((no_sanitize("thread"))) inline void AddProduct(int lane, const Pieces (&a)[16][8],
                                                              const Pieces (&b)[8][8], uint32_t Pieces::* part_a,
                                                              uint32_t Pieces::* part_b, FragmentC* c) {
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    double sum = c->v[i];
    for (int k = 0; k < 8; ++k) {
      sum += static_cast<double>(FromBits(a[row][k].*part_a & kRead)) * FromBits(b[k][column].*part_b & kRead);
    }
    c->v[i] = CutOff(sum);
  }
}

// `operands` are the warp's, two in turn: a lane that is ahead gives its next ones while others still read these.
// Products of rows beyond the tile's `rows`, of the warp's, nobody stores; they are left out.
template <class Program>
class ConvThread {
 public:
  using Warp = Operands<Program::kTilesM, Program::kTilesN>[2];

  ConvThread(Thread& thread, Warp& operands, int64_t rows) : thread_(thread), operands_(operands), rows_(rows) {}

  int index() const { return thread_.index(); }
  void Barrier() { thread_.Barrier(); }

  template <int kBytes>
  void Copy(float* to, const float* from, bool there) {
    constexpr int kFloats = kBytes / static_cast<int>(sizeof(float));
    for (int i = 0; i < kFloats; ++i) to[i] = std::numeric_limits<float>::quiet_NaN();
    open_.push_back({to, from, kFloats, there});
  }
  void Commit() {
    groups_.push_back(std::move(open_));
    open_.clear();
  }
  template <int kGroups>
  void Wait() {
    for (; groups_.size() > kGroups; groups_.pop_front()) {
      for (const Pending& copy : groups_.front()) copy.Do();
    }
  }

  template <bool kSingle, int kM, int kN>
  void Multiply(FragmentC (&c)[kM][kN], const FragmentA (&a)[kM], const FragmentB (&b)[kN]) {
    Operands<kM, kN>& all = operands_[steps_++ % 2];
    const int lane = index() % kWarp;
    Give(lane, a, b, &all);
    thread_.MeetWarp();
    for (int m = 0; m < kM && m * 16 < rows_; ++m) {
      for (int n = 0; n < kN; ++n) {
        if (!kSingle) {
          AddProduct(lane, all.a[m], all.b[n], &Pieces::lo, &Pieces::hi, &c[m][n]);
          AddProduct(lane, all.a[m], all.b[n], &Pieces::hi, &Pieces::lo, &c[m][n]);
        }
        AddProduct(lane, all.a[m], all.b[n], &Pieces::hi, &Pieces::hi, &c[m][n]);
      }
    }
  }

 private:
  struct Pending {
    float* to;
    const float* from;
    int floats;
    bool there;
    void Do() const {
      for (int i = 0; i < floats; ++i) to[i] = there ? from[i] : 0.0f;
    }
  };

  Thread& thread_;
  Warp& operands_;
  int64_t rows_;
  unsigned steps_ = 0;
  std::vector<Pending> open_;
  std::deque<std::vector<Pending>> groups_;
};

}  // namespace krypton::cuda::emulation
