// Weights on the device in the order their kernel reads, packed on first use and kept with the kernel
// (op/packed_weights.h says when).
#pragma once

#include <mutex>
#include <vector>

#include "cuda/device/launch.h"

namespace krypton::cuda {

class DeviceWeights {
 public:
  DeviceWeights() = default;
  DeviceWeights(const DeviceWeights&) = delete;
  DeviceWeights& operator=(const DeviceWeights&) = delete;
  ~DeviceWeights() { Release(); }

  // `pack(to)` fills `size` entries on the stream; other streams find them there.
  template <class Pack>
  const float* Get([[maybe_unused]] Stream stream, const float* source, const std::vector<int64_t>& shape, int64_t size,
                   const Pack& pack) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (source_ != source || shape_ != shape) {
      Release();
      Allocate(size);
      pack(packed_);
#if defined(__CUDACC__)
      Check(cudaStreamSynchronize(stream), "weights");
#endif
      source_ = source, shape_ = shape;
    }
    return packed_;
  }

 private:
#if defined(__CUDACC__)
  void Allocate(int64_t size) {
    Check(cudaMalloc(reinterpret_cast<void**>(&packed_), static_cast<size_t>(size) * sizeof(float)), "weights");
  }
  void Release() {
    if (packed_ != nullptr) (void)cudaFree(packed_);
    packed_ = nullptr, source_ = nullptr;
  }
#else
  void Allocate(int64_t size) { packed_ = new float[static_cast<size_t>(size)]; }
  void Release() {
    delete[] packed_;
    packed_ = nullptr, source_ = nullptr;
  }
#endif

  std::mutex mutex_;
  const float* source_ = nullptr;
  std::vector<int64_t> shape_;
  float* packed_ = nullptr;
};

}  // namespace krypton::cuda
