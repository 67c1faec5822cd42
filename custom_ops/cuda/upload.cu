#include "cuda/upload.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>

namespace krypton::cuda {

#if defined(__CUDACC__)

struct Block {
  std::byte *host = nullptr, *device = nullptr;
  size_t size = 0;
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

Block* Take(size_t size) {
  int gpu = 0;
  Check(cudaGetDevice(&gpu), "no device");
  Pool& pool = ThePool();
  {
    const std::lock_guard<std::mutex> lock(pool.mutex);
    for (auto at = pool.idle.begin(); at != pool.idle.end(); ++at) {
      Block* block = *at;
      if (block->gpu != gpu || block->size < size) continue;
      if (cudaEventQuery(block->used) != cudaSuccess) {
        (void)cudaGetLastError();  // "not ready" is no error
        continue;
      }
      pool.idle.erase(at);
      return block;
    }
  }
  constexpr size_t kSmallest = 1 << 16;
  auto block = std::make_unique<Block>();
  block->gpu = gpu;
  block->size = kSmallest;
  while (block->size < size) block->size *= 2;
  Check(cudaMallocHost(reinterpret_cast<void**>(&block->host), block->size), "page-locked memory");
  Check(cudaMalloc(reinterpret_cast<void**>(&block->device), block->size), "device memory");
  Check(cudaEventCreateWithFlags(&block->used, cudaEventDisableTiming), "event");
  return block.release();
}

}  // namespace

void Upload::Used() const {
  if (block_ != nullptr) (void)cudaEventRecord(block_->used, stream_);
}

Upload::~Upload() {
  if (block_ == nullptr) return;
  if (!kept_) Used();
  Pool& pool = ThePool();
  const std::lock_guard<std::mutex> lock(pool.mutex);
  pool.idle.push_back(block_);
}

void Upload::Send() {
  block_ = Take(bytes_.size() + reserved_);
  std::copy(bytes_.begin(), bytes_.end(), block_->host);
  Check(cudaMemcpyAsync(block_->device, block_->host, bytes_.size(), cudaMemcpyHostToDevice, stream_), "copy");
}

#else

struct Block {
  std::vector<std::byte> device;  // of exactly that size: the sanitizers see what reads beyond it
};

void Upload::Used() const {}

Upload::~Upload() { delete block_; }

void Upload::Send() {
  block_ = new Block{bytes_};
  block_->device.resize(bytes_.size() + reserved_);
}

#endif

const std::byte* Upload::device() const {
#if defined(__CUDACC__)
  return block_->device;
#else
  return block_->device.data();
#endif
}

}  // namespace krypton::cuda
