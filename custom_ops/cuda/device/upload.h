// Brings what the host has worked out for a kernel to the device: put side by side, sent as one copy.
//
//   Upload upload(stream);
//   const size_t at = upload.Put(values, count);  ...
//   upload.Send();
//   kernel<<<..., stream>>>(upload.At<T>(at));
//
// The memory of both sides comes from a pool. A block goes back when the Upload goes, and is handed out again once the
// stream has passed its last use: nothing is allocated once the first images are through, and nothing waits.
#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "cuda/device/launch.h"

namespace krypton::cuda {

struct Block;  // page-locked memory of the host and as much of the device

class Upload {
 public:
  // Kernels may use what is sent until the Upload goes. One that is `kept` may outlive the stream; its last use is
  // where Used() was called. Only the device's memory is held that long.
  explicit Upload(Stream stream, bool kept = false) : stream_(stream), kept_(kept) {}
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  template <class T>
  size_t Put(const T* data, size_t count) {
    constexpr size_t kAlignment = 16;
    const size_t at = (bytes_.size() + kAlignment - 1) / kAlignment * kAlignment;
    bytes_.resize(at + count * sizeof(T));
    if (count > 0) std::memcpy(bytes_.data() + at, data, count * sizeof(T));
    return at;
  }
  template <class T>
  size_t Put(const std::vector<T>& data) {
    return Put(data.data(), data.size());
  }
  // Reserves memory of the device to which nothing is copied; call it after all that is put.
  size_t Reserve(size_t bytes) {
    const size_t at = Put<std::byte>(nullptr, 0) + reserved_;
    reserved_ += (bytes + 15) / 16 * 16;
    return at;
  }
  template <class T>
  T* Scratch(size_t offset) const {
    return reinterpret_cast<T*>(const_cast<std::byte*>(device()) + offset);
  }
  void Send();
  void Clear(size_t offset, size_t bytes) const;  // of what is reserved
  void Used() const;
  Stream stream() const { return stream_; }
  size_t size() const { return size_; }  // of what was sent and reserved
  template <class T>
  const T* At(size_t offset) const {
    return reinterpret_cast<const T*>(device() + offset);
  }

 private:
  const std::byte* device() const;

  Stream stream_;
  bool kept_;
  std::vector<std::byte> bytes_;
  size_t reserved_ = 0, size_ = 0;
  Block* block_ = nullptr;
};

}  // namespace krypton::cuda
