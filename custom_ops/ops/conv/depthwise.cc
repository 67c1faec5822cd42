#include "ops/conv/depthwise.h"

#include <algorithm>
#include <vector>

#include "kernels/table.h"
#include "ops/conv/plan.h"

namespace krypton {
namespace {

struct Strips {
  const Window& window;
  const Values& x;
  const float* packed;
  const BaseMap& z;
  float lo, hi;
  const DeltaLimit& limit;
  float* y;

  // All outputs of box b.
  void Run(int64_t b, const Box& source, int64_t x_row, const Box& target, int64_t y_row) const {
    if (target.empty()) return;
    std::vector<TapRun> runs_y, runs_x;
    FindTapRuns(window.y, target.y0, target.y1(), source.y0, source.empty() ? source.y0 : source.y1(), &runs_y);
    FindTapRuns(window.x, target.x0, target.x1(), source.x0, source.empty() ? source.x0 : source.x1(), &runs_x);
    std::vector<std::vector<DepthwiseTap>> taps(runs_x.size());
    for (const TapRun& run_y : runs_y) {
      for (size_t i = 0; i < runs_x.size(); ++i) ListTaps(run_y, runs_x[i], source.w, &taps[i]);
      for (int64_t row = run_y.begin; row < run_y.end; ++row) {
        for (size_t i = 0; i < runs_x.size(); ++i) {
          Strip(b, source, x_row, target, y_row, row, run_y, runs_x[i], taps[i]);
        }
      }
    }
  }

  void ListTaps(const TapRun& run_y, const TapRun& run_x, int64_t width, std::vector<DepthwiseTap>* taps) const {
    taps->clear();
    for (int64_t ky = run_y.lo; ky < run_y.hi; ++ky) {
      for (int64_t kx = run_x.lo; kx < run_x.hi; ++kx) {
        const int64_t pixels = (ky - run_y.lo) * window.y.dilation * width + (kx - run_x.lo) * window.x.dilation;
        taps->push_back({pixels * x.channels, packed + (ky * window.x.kernel + kx) * x.channels});
      }
    }
  }

  void Strip(int64_t b, const Box& source, int64_t x_row, const Box& target, int64_t y_row, int64_t row,
             const TapRun& run_y, const TapRun& run_x, const std::vector<DepthwiseTap>& taps) const {
    const int64_t channels = x.channels, count = run_x.end - run_x.begin;
    const int64_t out_y = target.y0 + row, out_x = target.x0 + run_x.begin;
    float* out = y + (y_row + row * target.w + run_x.begin) * channels;
    if (taps.empty()) {
      std::fill_n(out, count * channels, 0.0f);
      return;
    }
    const int64_t in_y = window.y.Input(out_y, run_y.lo) - source.y0;
    const int64_t in_x = window.x.Input(out_x, run_x.lo) - source.x0;
    const float* base = z.data == nullptr ? nullptr : z.pixel(b, out_y, out_x);
    ActiveKernels().depthwise({x.row(x_row + in_y * source.w + in_x), window.x.stride * channels, taps.data(),
                               static_cast<int64_t>(taps.size()), out, base, count, channels, lo, hi});
    limit.Flush(out, count * channels);
  }
};

}  // namespace

AlignedFloats PackTaps(const float* w, int64_t channels, int64_t taps) {
  AlignedFloats packed = AllocateAligned(static_cast<size_t>(channels * taps));
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t t = 0; t < taps; ++t) packed[t * channels + c] = w[c * taps + t];
  }
  return packed;
}

void DepthwiseConv(const Ort::KernelContext& context, const Window& window, const Values& x, const BoxList& x_boxes,
                   const BoxList& y_boxes, const float* packed, const BaseMap& z, float lo, float hi,
                   const DeltaLimit& limit, float* y) {
  const Strips strips{window, x, packed, z, lo, hi, limit, y};
  ParallelRanges(context, y_boxes.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      strips.Run(b, x_boxes[b], x_boxes.offsets[b], y_boxes[b], y_boxes.offsets[b]);
    }
  });
}

}  // namespace krypton
