// The threads of a GPU's blocks on a CPU: coroutines with stacks of their own, all on the thread that launches them.
// One runs until it waits for others. A warp runs as far ahead of the others as barriers let it, the first warp of a
// block and the last in turn: what lacks a barrier finds what is not there yet, or not there any more, the same in each
// run.
//
// ThreadSanitizer takes each for a thread (its interface for fibers), and is told of the orders that a GPU promises and
// no other: launches come one after the other, and a barrier parts what a block's threads did before it from what they
// do after it. A barrier made of a mutex would hide races: one thread's arrival at the next barrier would come before
// another's departure from the last. What the lanes of a warp give each other (mma, shfl) orders nothing.
#pragma once

#include <cstdint>

namespace krypton::cuda::emulation {

// One of a block's threads, for its own body to call.
class Thread {
 public:
  virtual int index() const = 0;
  // The number of the set that runs it.
  virtual int set() const = 0;
  // Waits for all threads of the block.
  virtual void Barrier() = 0;
  // Waits for all threads of the warp.
  virtual void MeetWarp() = 0;
  // The value that lane `lane` of the warp gives, as all of them do.
  virtual double Exchange(double value, int lane) = 0;

 protected:
  ~Thread() = default;
};

constexpr int kWarp = 32;

// Blocks run one after the other, by two sets of threads: the second has those whose numbers have an odd count of ones,
// so that blocks of any distance meet in both ways. To ThreadSanitizer blocks of different sets are as free of any
// order as a GPU's; those of one set are not, and share the set's memory.
constexpr int kSets = 2;

using Call = void (*)(const void* body, int64_t block, Thread& thread);
void LaunchThreads(int64_t blocks, int threads, const void* body, Call call);

// Runs body(block, thread) for all threads of all blocks; `threads` is at most 128, a multiple of 32 where they wait
// for others of their warp. Throws where some wait for others that have ended.
template <class Body>
void Launch(int64_t blocks, int threads, const Body& body) {
  LaunchThreads(blocks, threads, &body, [](const void* data, int64_t block, Thread& thread) {
    (*static_cast<const Body*>(data))(block, thread);
  });
}

}  // namespace krypton::cuda::emulation
