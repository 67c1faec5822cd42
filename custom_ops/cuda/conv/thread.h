// A GPU's thread for block.h.
#pragma once

#include "cuda/conv/program.h"

namespace krypton::cuda {

struct ConvThread {
  __device__ int index() const { return static_cast<int>(threadIdx.x); }

  __device__ void Barrier() const { __syncthreads(); }

  template <int kBytes>
  __device__ void Copy(float* to, const float* from, bool there) const {
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
    const int bytes = there ? kBytes : 0;
    if constexpr (kBytes == 16) {
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(from), "r"(bytes) : "memory");
    } else {
      asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;\n" ::"r"(address), "l"(from), "r"(bytes) : "memory");
    }
  }

  __device__ void Commit() const { asm volatile("cp.async.commit_group;\n" ::: "memory"); }

  template <int kGroups>
  __device__ void Wait() const {
    asm volatile("cp.async.wait_group %0;\n" ::"n"(kGroups) : "memory");
  }

  template <bool kSingle, int kM, int kN>
  __device__ void Multiply(FragmentC (&c)[kM][kN], const FragmentA (&a)[kM], const FragmentB (&b)[kN]) const {
    KRYPTON_UNROLL
    for (int m = 0; m < kM; ++m) {
      KRYPTON_UNROLL
      for (int n = 0; n < kN; ++n) MultiplyPieces<kSingle>(c[m][n], a[m], b[n]);
    }
  }

 private:
  // The small products first: they are summed before the large one cuts their digits off.
  template <bool kSingle>
  __device__ static void MultiplyPieces(FragmentC& c, const FragmentA& a, const FragmentB& b) {
    const uint32_t a_hi[4] = {a.v[0].hi, a.v[1].hi, a.v[2].hi, a.v[3].hi}, b_hi[2] = {b.v[0].hi, b.v[1].hi};
    if constexpr (!kSingle) {
      const uint32_t a_lo[4] = {a.v[0].lo, a.v[1].lo, a.v[2].lo, a.v[3].lo}, b_lo[2] = {b.v[0].lo, b.v[1].lo};
      Mma(c, a_lo, b_hi);
      Mma(c, a_hi, b_lo);
    }
    Mma(c, a_hi, b_hi);
  }

  // c += a b of one warp, one TF32 product.
  __device__ static void Mma(FragmentC& c, const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(c.v[0]), "+f"(c.v[1]), "+f"(c.v[2]), "+f"(c.v[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
};

}  // namespace krypton::cuda
