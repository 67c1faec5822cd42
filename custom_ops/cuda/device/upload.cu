#include "cuda/device/upload.h"

#include <algorithm>
#include <memory>
#include <mutex>

namespace krypton::cuda {

#if defined(__CUDACC__)

struct Block {
  std::byte *host = nullptr, *device = nullptr;  // null where their size is 0
  size_t host_size = 0, device_size = 0;
  int gpu = 0;
  cudaEvent_t used = nullptr;  // recorded where the block went back
};

namespace {

// All blocks there are, of all GPUs; they live as long as the process, which may unload CUDA before our destructors
// run.
struct Pool {
  std::mutex mutex;
  std::vector<Block*> idle;
};

Pool& ThePool() {
  static Pool* const pool = new Pool;
  return *pool;
}

// Blocks come in a few sizes, and a block is handed out for its own size alone: a large one must not wait in a place
// where a small one would do.
size_t Rounded(size_t size) {
  constexpr size_t kSmallest = 1 << 16;
  if (size == 0) return 0;
  size_t rounded = kSmallest;
  while (rounded < size) rounded *= 2;
  return rounded;
}

Block* Take(size_t host, size_t device) {
  const size_t host_size = Rounded(host), device_size = Rounded(device);
  int gpu = 0;
  Check(cudaGetDevice(&gpu), "no device");
  Pool& pool = ThePool();
  {
    constexpr int kMostBusy = 8;  // those behind are busy too, mostly: they went back later
    int busy = 0;
    const std::lock_guard<std::mutex> lock(pool.mutex);
    for (auto at = pool.idle.begin(); at != pool.idle.end() && busy < kMostBusy; ++at) {
      Block* block = *at;
      if (block->gpu != gpu || block->host_size != host_size || block->device_size != device_size) continue;
      if (cudaEventQuery(block->used) != cudaSuccess) {
        (void)cudaGetLastError();  // "not ready" is no error
        ++busy;
        continue;
      }
      pool.idle.erase(at);
      return block;
    }
  }
  // What a failure leaves goes with the block.
  struct Free {
    void operator()(Block* block) const {
      if (block->host != nullptr) (void)cudaFreeHost(block->host);
      if (block->device != nullptr) (void)cudaFree(block->device);
      delete block;
    }
  };
  std::unique_ptr<Block, Free> block(new Block);
  block->gpu = gpu, block->host_size = host_size, block->device_size = device_size;
  if (host > 0) Check(cudaMallocHost(reinterpret_cast<void**>(&block->host), host_size), "page-locked memory");
  if (device > 0) Check(cudaMalloc(reinterpret_cast<void**>(&block->device), device_size), "device memory");
  Check(cudaEventCreateWithFlags(&block->used, cudaEventDisableTiming), "event");
  return block.release();
}

void GiveBack(Block* block) {
  Pool& pool = ThePool();
  const std::lock_guard<std::mutex> lock(pool.mutex);
  pool.idle.push_back(block);
}

}  // namespace

void Upload::Used() const {
  if (block_ != nullptr) (void)cudaEventRecord(block_->used, stream_);
}

Upload::~Upload() {
  if (block_ == nullptr) return;
  if (!kept_) Used();
  GiveBack(block_);
}

void Upload::Send() {
  const size_t sent = bytes_.size();
  size_ = sent + reserved_;
  block_ = Take(kept_ ? 0 : sent, size_);
  if (sent > 0) {
    // What is kept needs no page-locked memory once the copy is through.
    Block* const from = kept_ ? Take(sent, 0) : block_;
    std::copy(bytes_.begin(), bytes_.end(), from->host);
    const cudaError_t error = cudaMemcpyAsync(block_->device, from->host, sent, cudaMemcpyHostToDevice, stream_);
    if (kept_) {
      (void)cudaEventRecord(from->used, stream_);
      GiveBack(from);
      Used();  // a caller that fails before its first launch records nothing
    }
    Check(error, "copy");
  }
  bytes_ = {};
}

void Upload::Clear(size_t offset, size_t bytes) const {
  Check(cudaMemsetAsync(block_->device + offset, 0, bytes, stream_), "memset");
}

#else

struct Block {
  std::vector<std::byte> device;  // of exactly that size: the sanitizers see what reads beyond it
};

void Upload::Used() const {}

Upload::~Upload() { delete block_; }

void Upload::Send() {
  block_ = new Block{bytes_};
  size_ = bytes_.size() + reserved_;
  block_->device.resize(size_);
  bytes_ = {};
}

void Upload::Clear(size_t offset, size_t bytes) const { std::memset(block_->device.data() + offset, 0, bytes); }

#endif

const std::byte* Upload::device() const {
#if defined(__CUDACC__)
  return block_->device;
#else
  return block_->device.data();
#endif
}

}  // namespace krypton::cuda
