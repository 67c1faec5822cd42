// Weights in the order their kernel reads, packed on first use and kept with the kernel.
//
// onnxruntime before 1.29 does not show an op inside a Scan body the outer scope's initializers when
// the kernel is made, so packing waits for the first Compute. It is keyed by the data pointer: an
// initializer never moves, and the compiler lowers no op whose weights are not one.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace krypton {

struct FreeDeleter {
  void operator()(float* p) const { std::free(p); }
};
using AlignedFloats = std::unique_ptr<float[], FreeDeleter>;

inline AlignedFloats AllocateAligned(size_t count) {
  constexpr size_t kAlignment = 64;
  const size_t bytes = (count * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
  auto* data = static_cast<float*>(std::aligned_alloc(kAlignment, bytes == 0 ? kAlignment : bytes));
  if (data == nullptr) throw std::bad_alloc();
  return AlignedFloats(data);
}

// Room on a cache line; it only grows.
class AlignedBuffer {
 public:
  void Resize(int64_t size) {
    if (size <= size_) return;
    data_ = AllocateAligned(static_cast<size_t>(size));
    size_ = size;
  }
  float* data() const { return data_.get(); }

 private:
  AlignedFloats data_;
  int64_t size_ = 0;
};

class PackedWeights {
 public:
  // `pack` returns the packed copy of `source`; it runs once a pointer. And where `shape` is another one: a caller who
  // gives weights as an input may give others at the same place, and then nothing may be read beyond its end.
  template <class Pack>
  const float* Get(const float* source, const std::vector<int64_t>& shape, const Pack& pack) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (source_ != source || shape_ != shape) {
      packed_ = pack();
      source_ = source;
      shape_ = shape;
    }
    return packed_.get();
  }

 private:
  std::mutex mutex_;
  const float* source_ = nullptr;
  std::vector<int64_t> shape_;
  AlignedFloats packed_;
};

}  // namespace krypton
