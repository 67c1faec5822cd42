// Loops on onnxruntime's intra-op pool.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>

#include "geometry/pixels.h"
#include "op/ort.h"

namespace krypton {

// Calls body(i) for i in [0, count) on onnxruntime's intra-op pool, and throws what a body threw first.
template <class Body>
void ParallelFor(const Ort::KernelContext& context, int64_t count, const Body& body) {
  if (count == 1) return body(0);
  if (count < 1) return;
  struct Shared {
    const Body& body;
    std::atomic_flag failed = ATOMIC_FLAG_INIT;
    std::exception_ptr error{};
  } shared{body};
  context.ParallelFor(
      [](void* data, size_t i) {
        Shared& all = *static_cast<Shared*>(data);
        try {
          all.body(static_cast<int64_t>(i));
        } catch (...) {
          if (!all.failed.test_and_set()) all.error = std::current_exception();
        }
      },
      static_cast<size_t>(count), 0, &shared);
  if (shared.error) std::rethrow_exception(shared.error);
}

// Calls body(begin, end) on ranges of [0, total) of at least `grain`: few enough that handing
// them out costs nothing, enough that uneven ranges balance.
template <class Body>
void ParallelRanges(const Ort::KernelContext& context, int64_t total, int64_t grain, const Body& body) {
  constexpr int64_t kMaxRanges = 64;
  int64_t ranges = total / (grain < 1 ? 1 : grain);
  ranges = ranges < 1 ? 1 : ranges > kMaxRanges ? kMaxRanges : ranges;
  ParallelFor(context, ranges, [&](int64_t i) { body(total * i / ranges, total * (i + 1) / ranges); });
}

// Calls body(b, y, x, row) for every pixel of every box, boxes in parallel.
template <class Body>
void ForEachPixel(const Ort::KernelContext& context, const BoxList& boxes, const Body& body) {
  ParallelRanges(context, boxes.count, 4, [&](int64_t begin, int64_t end) { WalkPixels(boxes, begin, end, body); });
}

}  // namespace krypton
