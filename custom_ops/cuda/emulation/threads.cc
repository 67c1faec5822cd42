#include "cuda/emulation/threads.h"

#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "op/fail.h"

#if defined(__SANITIZE_THREAD__)  // GCC's name; Clang's is below
#define KRYPTON_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KRYPTON_TSAN
#endif
#endif
#if defined(KRYPTON_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace krypton::cuda::emulation {
namespace {

constexpr int kMostThreads = 128;
constexpr size_t kStack = size_t{256} << 10;

#if defined(KRYPTON_TSAN)
void* CurrentFiber() { return __tsan_get_current_fiber(); }
void* MakeFiber() { return __tsan_create_fiber(0); }
void EndFiber(void* fiber) { __tsan_destroy_fiber(fiber); }
void EnterFiber(void* fiber) { __tsan_switch_to_fiber(fiber, __tsan_switch_to_fiber_no_sync); }
// Whatever was done before Release(&order) comes before whatever is done after Acquire(&order).
void Release(char* order) { __tsan_release(order); }
void Acquire(char* order) { __tsan_acquire(order); }
#else
void* CurrentFiber() { return nullptr; }
void* MakeFiber() { return nullptr; }
void EndFiber(void*) {}
void EnterFiber(void*) {}
void Release(char*) {}
void Acquire(char*) {}
#endif

// A variable of the threads' own affairs; relaxed, so that ThreadSanitizer learns of no order from it.
template <class T>
class Note {
 public:
  T get() const { return value_.load(std::memory_order_relaxed); }
  void set(T value) { value_.store(value, std::memory_order_relaxed); }

 private:
  std::atomic<T> value_{};
};

enum class State { kDone, kReady, kAtBarrier, kAtMeeting };

// State that one set of threads has in common.
struct Common {
  ucontext_t launcher{};
  void* launcher_fiber = CurrentFiber();
  Note<const void*> body;
  Note<Call> call;
  Note<int64_t> block;
  Note<int> round;  // of the set's blocks
  Note<double> given[2][kMostThreads];
  int set;
  // Orders of two barriers, and of two blocks' ends, in turn: what a thread that is ahead says at the next is no part
  // of this one.
  char launched = 0, ended[2] = {0, 0}, barriers[2] = {0, 0};

  explicit Common(int number) : set(number) {}
};

class Coroutine final : public Thread {
 public:
  Coroutine(int index, Common* common) : index_(index), common_(common), stack_(new char[kStack]), fiber_(MakeFiber()) {
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_.get();
    context_.uc_stack.ss_size = kStack;
    const auto self = reinterpret_cast<uintptr_t>(this);
    makecontext(&context_, reinterpret_cast<void (*)()>(Start), 2, static_cast<unsigned>(self >> 32),
                static_cast<unsigned>(self));
  }
  ~Coroutine() { EndFiber(fiber_); }
  Coroutine(const Coroutine&) = delete;
  Coroutine& operator=(const Coroutine&) = delete;

  int index() const override { return index_; }
  int set() const override { return common_->set; }

  void Barrier() override {
    char* order = &common_->barriers[barriers_++ % 2];
    Release(order);
    Leave(State::kAtBarrier);
    Acquire(order);
  }

  void MeetWarp() override { Leave(State::kAtMeeting); }

  // Two places in turn: who is ahead gives its next value while others still read this one.
  double Exchange(double value, int lane) override {
    Note<double>* given = common_->given[exchanges_++ % 2];
    given[index_].set(value);
    MeetWarp();
    return given[index_ / kWarp * kWarp + lane].get();
  }

  // For the launcher: runs the thread until it waits or ends.
  void Resume() {
    EnterFiber(fiber_);
    swapcontext(&common_->launcher, &context_);
  }
  State state() const { return state_.get(); }
  void set_state(State state) { state_.set(state); }

 private:
  static void Start(unsigned high, unsigned low) {
    reinterpret_cast<Coroutine*>(static_cast<uintptr_t>(high) << 32 | low)->Work();
  }

  void Work() {
    for (;;) {
      barriers_ = exchanges_ = 0;
      Acquire(&common_->launched);
      const int round = common_->round.get();
      Acquire(&common_->ended[(round + 1) % 2]);
      common_->call.get()(common_->body.get(), common_->block.get(), *this);
      Release(&common_->ended[round % 2]);
      Leave(State::kDone);
    }
  }

  void Leave(State state) {
    state_.set(state);
    EnterFiber(common_->launcher_fiber);
    swapcontext(&context_, &common_->launcher);
  }

  int index_;
  unsigned barriers_ = 0, exchanges_ = 0;
  Note<State> state_;
  Common* common_;
  std::unique_ptr<char[]> stack_;
  void* fiber_;
  ucontext_t context_{};
};

class Set {
 public:
  explicit Set(int number) : common_(number) {}

  void Begin(const void* body, Call call, int threads) {
    while (static_cast<int>(threads_.size()) < threads) {
      threads_.push_back(std::make_unique<Coroutine>(static_cast<int>(threads_.size()), &common_));
    }
    common_.body.set(body), common_.call.set(call);
    Release(&common_.launched);
  }

  // False where some threads wait for others that have ended.
  bool Run(int64_t block, int threads) {
    common_.block.set(block), common_.round.set(1 - common_.round.get());
    SetAll(0, threads, State::kReady);
    const int warps = (threads + kWarp - 1) / kWarp;
    for (bool last_first = false;; last_first = !last_first) {
      for (int i = 0; i < warps; ++i) {
        const int warp = last_first ? warps - 1 - i : i;
        RunWarp(warp * kWarp, std::min((warp + 1) * kWarp, threads), last_first);
      }
      if (All(0, threads, State::kDone)) return true;
      if (!All(0, threads, State::kAtBarrier)) return false;
      SetAll(0, threads, State::kReady);
    }
  }

  void End() {
    for (char& order : common_.ended) Acquire(&order);
  }

 private:
  // Runs the warp as far as it gets without the others.
  void RunWarp(int begin, int end, bool last_first) {
    for (;;) {
      for (int i = begin; i < end; ++i) {
        Coroutine& thread = *threads_[static_cast<size_t>(last_first ? end - 1 - (i - begin) : i)];
        if (thread.state() == State::kReady) thread.Resume();
      }
      if (!All(begin, end, State::kAtMeeting)) return;
      SetAll(begin, end, State::kReady);
    }
  }
  bool All(int begin, int end, State state) const {
    return std::all_of(threads_.begin() + begin, threads_.begin() + end,
                       [state](const auto& thread) { return thread->state() == state; });
  }
  void SetAll(int begin, int end, State state) {
    for (int i = begin; i < end; ++i) threads_[static_cast<size_t>(i)]->set_state(state);
  }

  Common common_;
  std::vector<std::unique_ptr<Coroutine>> threads_;
};

}  // namespace

void LaunchThreads(int64_t blocks, int threads, const void* body, Call call) {
  static thread_local std::unique_ptr<Set> sets[kSets];
  const int used = static_cast<int>(std::min<int64_t>(blocks, kSets));
  for (int i = 0; i < used; ++i) {
    if (sets[i] == nullptr) sets[i] = std::make_unique<Set>(i);
    sets[i]->Begin(body, call, threads);
  }
  for (int64_t block = 0; block < blocks; ++block) {
    if (sets[__builtin_parityll(static_cast<uint64_t>(block))]->Run(block, threads)) continue;
    for (auto& broken : sets) broken.reset();
    Fail("threads of a block wait for others that never come");
  }
  // Not before: the launcher's own order would come between the blocks of both sets.
  for (int i = 0; i < used; ++i) sets[i]->End();
}

}  // namespace krypton::cuda::emulation
