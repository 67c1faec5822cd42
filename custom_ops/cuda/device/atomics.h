// Words of the device's memory that several threads change at once, in no order. On the CPU for its emulation, where
// ThreadSanitizer takes for a race what does without.
#pragma once

#include <cstdint>

#include "math/device.h"

namespace krypton::cuda {

// The word as it is now or was a moment ago.
template <class T>
KRYPTON_DEVICE inline T Peek(const T* word) {
#if defined(__CUDA_ARCH__)
  return *static_cast<const volatile T*>(word);
#else
  return __atomic_load_n(word, __ATOMIC_RELAXED);
#endif
}

KRYPTON_DEVICE inline void AtomicOr(uint32_t* word, uint32_t bits) {
#if defined(__CUDA_ARCH__)
  atomicOr(word, bits);
#else
  __atomic_fetch_or(word, bits, __ATOMIC_RELAXED);
#endif
}

KRYPTON_DEVICE inline void AtomicAdd(uint64_t* word, uint64_t value) {
#if defined(__CUDA_ARCH__)
  static_assert(sizeof(unsigned long long) == sizeof(uint64_t), "CUDA has another name for it");
  atomicAdd(reinterpret_cast<unsigned long long*>(word), static_cast<unsigned long long>(value));
#else
  __atomic_fetch_add(word, value, __ATOMIC_RELAXED);
#endif
}

KRYPTON_DEVICE inline void AtomicMax(int32_t* word, int32_t value) {
#if defined(__CUDA_ARCH__)
  atomicMax(word, value);
#else
  int32_t before = __atomic_load_n(word, __ATOMIC_RELAXED);
  while (value > before &&
         !__atomic_compare_exchange_n(word, &before, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
#endif
}

}  // namespace krypton::cuda
