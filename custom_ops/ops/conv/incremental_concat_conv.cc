// IncrementalConcatConv: a convolution of single pixels, of channels that others made: DY = W * f([DX1, DX2, ...]),
// each part zero outside its own box. f is a scale and the clip rule with X0, the BatchNormalization and the Relu in
// front of the convolution (DenseNet), or nothing; with Z0 another clip rule follows.
//
// The concatenation is never in memory: a task gathers some hundred rows into a scratch that stays in L2, by f, and
// multiplies them. Rows are sorted by pixel, so that neighbours share zeros (plan.h), rows of X0 and of Z0.
#include <algorithm>
#include <string>
#include <vector>

#include "op/op.h"
#include "op/parallel.h"
#include "op/thresholds.h"
#include "ops/conv/call.h"
#include "ops/conv/product.h"
#include "ops/ops.h"

namespace krypton {
namespace {

// What a task's rows may take of L2, and their number.
constexpr int64_t kScratchFloats = 1 << 17, kFewestRows = 96, kMostRows = 512;

// The rows of all boxes, pixel by pixel: how many each pixel of the boxes' hull has, and tasks of neighbouring pixels.
class PixelTasks {
 public:
  PixelTasks(const BoxList& boxes, int64_t slices, int64_t most) : boxes_(boxes), slices_(slices) {
    for (int64_t b = 0; b < boxes.count; ++b) hull_ = Hull(hull_, boxes[b]);
    // Maps are smaller; without X0 and Z0 nothing else bounds what a caller's boxes spread over.
    constexpr int64_t kLargest = int64_t{1} << 26;
    if (hull_.area() > kLargest / slices) {
      Fail("y_boxes: expected boxes within " + std::to_string(kLargest) + " pixels of each other, found them on " +
           ShapeText({hull_.h, hull_.w}));
    }
    counts_.resize(static_cast<size_t>(slices * hull_.area()));
    WalkPixels(boxes, 0, boxes.count, [&](int64_t b, int64_t y, int64_t x, int64_t) {
      ++counts_[((b % slices * hull_.h) + y - hull_.y0) * hull_.w + x - hull_.x0];
    });
    int64_t rows = 0;
    for (int64_t pixel = 0; pixel < static_cast<int64_t>(counts_.size()); ++pixel) {
      if (starts_.empty() || (rows > 0 && rows + counts_[pixel] > most)) {
        starts_.push_back(pixel);
        rows = 0;
      }
      rows += counts_[pixel];
      largest_ = std::max(largest_, rows);
    }
    starts_.push_back(static_cast<int64_t>(counts_.size()));
  }
  int64_t count() const { return static_cast<int64_t>(starts_.size()) - 1; }
  int64_t largest() const { return largest_; }  // rows of a task

  // Calls visit(b, y, x0, x1, row, places) for every run of a task's pixels in a box: the first's row among all, and
  // each one's place in the task, where a pixel's rows stand together, positions in order. Returns the task's rows.
  template <class Visit>
  int64_t ForRuns(int64_t task, const Visit& visit) const {
    const int64_t begin = starts_[task], end = starts_[task + 1];
    std::vector<int64_t> next, places;
    int64_t rows = 0;
    for (int64_t pixel = begin; pixel < end; rows += counts_[pixel++]) next.push_back(rows);
    for (int64_t line = begin / hull_.w; line * hull_.w < end; ++line) {
      const int64_t slice = line / hull_.h, y = hull_.y0 + line % hull_.h;
      const int64_t left = std::max(begin - line * hull_.w, int64_t{0}) + hull_.x0;
      const int64_t right = std::min<int64_t>(end - line * hull_.w, hull_.w) + hull_.x0;
      for (int64_t b = slice; b < boxes_.count; b += slices_) {
        const Box& box = boxes_[b];
        const int64_t x0 = std::max<int64_t>(left, box.x0), x1 = std::min(right, box.x1());
        if (y < box.y0 || y >= box.y1() || x0 >= x1) continue;
        places.clear();
        for (int64_t x = x0; x < x1; ++x) places.push_back(next[line * hull_.w + x - hull_.x0 - begin]++);
        visit(b, y, x0, x1, RowOf(boxes_, b, y, x0), places.data());
      }
    }
    return rows;
  }

 private:
  const BoxList& boxes_;
  int64_t slices_, largest_ = 0;
  Box hull_{0, 0, 0, 0};
  std::vector<int32_t> counts_;
  std::vector<int64_t> starts_;
};

// Gathered rows, each of whole words of non-zeros, and what the product is told of them; reused from call to call.
class Gathered {
 public:
  // Makes room for rows of so many channels.
  void Resize(int64_t channels, int64_t rows) {
    channels_ = channels, words_ = (channels + 63) / 64;
    x_.Resize(rows * stride());
    nonzero_.Resize(rows * words_);
    rows_.resize(static_cast<size_t>(rows));
    for (int64_t i = 0; i < rows; ++i) std::fill(row(i) + channels, row(i + 1), 0.0f);
  }
  int64_t stride() const { return words_ * 64; }
  float* x() { return x_.data(); }
  const ConvRow* rows() const { return rows_.data(); }
  ConvSource source(bool sparse) { return {x(), sparse ? &nonzero_ : nullptr}; }
  // Row i is there.
  void Finish(int64_t i, int64_t target, int64_t pixel, const DeltaLimit& limit) {
    limit.Flush(row(i), channels_);
    ActiveKernels().nonzero_bits(row(i), channels_, nonzero_.words() + i * words_);
    rows_[i] = {i * stride(), 0, target, pixel};
  }

 private:
  float* row(int64_t i) { return x() + i * stride(); }

  int64_t channels_ = 0, words_ = 0;
  AlignedBuffer x_;
  NonzeroMap nonzero_;
  std::vector<ConvRow> rows_;
};

// The share of non-zeros in some of the rows, which tells well enough to choose a way.
double Density(const BoxList& boxes, const PartGather& gather, int64_t channels, const DeltaLimit& limit) {
  constexpr int64_t kBoxes = 8, kPixels = 8;
  std::vector<int64_t> starts(kPixels);
  for (int64_t i = 0; i < kPixels; ++i) starts[i] = i * channels;
  std::vector<float> rows(static_cast<size_t>(kPixels * channels));
  int64_t set = 0, seen = 0;
  const int64_t step = std::max<int64_t>(1, boxes.count / kBoxes) | 1;  // odd: of volumes all slices come up
  for (int64_t b = step / 2; b < boxes.count; b += step) {
    const Box& box = boxes[b];
    if (box.empty()) continue;
    // The middle: parts of smaller boxes lie there too.
    const int64_t pixels = std::min<int64_t>(box.w, kPixels), x = box.x0 + (box.w - pixels) / 2;
    const int64_t size = pixels * channels;
    gather(b, box.y0 + box.h / 2, x, x + pixels, rows.data(), starts.data());
    limit.Flush(rows.data(), size);
    set += std::count_if(rows.begin(), rows.begin() + size, [](float x) { return !(x == 0.0f); });
    seen += size;
  }
  return seen == 0 ? 0.0 : static_cast<double>(set) / static_cast<double>(seen);
}

struct IncrementalConcatConv : KernelBase<IncrementalConcatConv> {
  static constexpr const char* kName = "IncrementalConcatConv";
  using In = IncrementalConcatConvInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalConcatConv(const Ort::ConstKernelInfo& info)
      : IncrementalConcatConv(info, ReadConcatConvAttributes(info)) {}

  void Compute(Ort::KernelContext context) const {
    const ConcatConvCall call = ReadConcatConvCall(context);
    const ConvShape& shape = call.shape;
    const int64_t slices = std::max(call.x0.depth, call.z.depth);
    const int64_t most = std::clamp(kScratchFloats / shape.channels, kFewestRows, kMostRows);
    float* y = WriteValues(context, call.y_boxes.rows(), shape.maps);
    const PixelTasks tasks(call.y_boxes, slices, most);
    const PartGather gather(call.parts, {call.scale, call.x0, x_bounds_.lo, x_bounds_.hi});
    const DeltaLimit x_limit(context, In::x_limit), limit(context, In::limit);
    // Gathers the rows of a task; returns their number.
    const auto fill = [&](int64_t task, Gathered* rows) {
      std::vector<int64_t> starts;
      return tasks.ForRuns(task, [&](int64_t b, int64_t y, int64_t x0, int64_t x1, int64_t row, const int64_t* places) {
        starts.clear();
        for (int64_t i = 0; i < x1 - x0; ++i) starts.push_back(places[i] * rows->stride());
        gather(b, y, x0, x1, rows->x(), starts.data());
        const int64_t pixel = call.z.data == nullptr ? 0 : (call.z.pixel(b, y, x0) - call.z.data) / shape.maps;
        for (int64_t i = 0; i < x1 - x0; ++i) rows->Finish(places[i], row + i, pixel + i, x_limit);
      });
    };
    const double density = Density(call.y_boxes, gather, shape.channels, x_limit);
    const SplitKernels* split = product_.Split(shape, density);
    const bool sparse = ConvProduct::IsSparse(split, density);
    const ConvWeights weights{call.weights, call.weights_shape};
    ParallelRanges(context, tasks.count(), 1, [&](int64_t begin, int64_t end) {
      static thread_local Gathered rows;
      static thread_local SplitScratch pieces;
      rows.Resize(shape.channels, tasks.largest());
      if (split != nullptr) pieces.Resize(tasks.largest() * rows.stride(), product_.TakesLow());
      for (int64_t task = begin; task < end; ++task) {
        const int64_t count = fill(task, &rows);
        ConvSource source = rows.source(sparse);
        if (split != nullptr) {
          split->split(rows.x(), count * rows.stride(), pieces.hi(), pieces.lo());
          source.hi = pieces.hi(), source.lo = pieces.lo();
        }
        product_.Multiply(weights, shape, {{0, 1}, {0, 1}, 0, count}, rows.rows(), count, source, split, call.z, y);
        for (int64_t i = 0; i < count; ++i) limit.Flush(y + rows.rows()[i].target * shape.maps, shape.maps);
      }
    });
  }

 private:
  IncrementalConcatConv(const Ort::ConstKernelInfo& info, const ConcatConvAttributes& attributes)
      : KernelBase(info), product_(attributes.conv), x_bounds_(attributes.x_bounds) {}

  ConvProduct product_;
  Bounds x_bounds_;
};

}  // namespace

const OrtCustomOp* IncrementalConcatConvOp() {
  static const Op<IncrementalConcatConv> op;
  return &op;
}

}  // namespace krypton
