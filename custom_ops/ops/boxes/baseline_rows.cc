// BaselineRows: which rows of a delta are those of the baseline picture, since no pixel that they depend on differs
// from it once the window is hidden. `fields` are the first and one past the last pixel that each place of a map
// depends on, for depth, height and width one after another. Without boxes: one answer a position, whether the whole
// occluded image is the baseline.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "geometry/pixels.h"
#include "op/op.h"
#include "ops/boxes/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct Range {
  int64_t first, last;  // one past it
  bool empty() const { return last <= first; }
  Range Cut(const Range& other) const { return {std::max(first, other.first), std::min(last, other.last)}; }
};

using Block = std::array<Range, 3>;  // depth, height, width

Block Cut(const Block& a, const Block& b) { return {a[0].Cut(b[0]), a[1].Cut(b[1]), a[2].Cut(b[2])}; }
bool IsEmpty(const Block& block) { return block[0].empty() || block[1].empty() || block[2].empty(); }

// Sums of differing pixels up to each corner.
struct Counts {
  const int32_t* sums;
  std::array<int64_t, 3> size;

  int64_t At(int64_t z, int64_t y, int64_t x) const { return sums[(z * (size[1] + 1) + y) * (size[2] + 1) + x]; }
  int64_t Plane(int64_t z, const Block& b) const {
    return At(z, b[1].last, b[2].last) - At(z, b[1].first, b[2].last) - At(z, b[1].last, b[2].first) +
           At(z, b[1].first, b[2].first);
  }
  int64_t In(const Block& b) const { return IsEmpty(b) ? 0 : Plane(b[0].last, b) - Plane(b[0].first, b); }
};

// A position's window, and what it does to the pixels inside.
struct Hidden {
  Block window;
  bool shows_baseline;  // in every pixel
  bool has_patch;
};

bool IsBaseline(const Counts& counts, const Block& field, const Hidden& hidden) {
  const int64_t differing = counts.In(field);
  const Block inside = Cut(field, hidden.window);
  if (hidden.has_patch) return differing == 0 && IsEmpty(inside);
  return differing == (hidden.shows_baseline ? counts.In(inside) : 0);
}

struct BaselineRows : KernelBase<BaselineRows> {
  static constexpr const char* kName = "BaselineRows";
  using In = BaselineRowsInputs;
  static constexpr Slot kOutputs[] = {kBool};

  explicit BaselineRows(const Ort::ConstKernelInfo& info) : KernelBase(info) {
    if (HasAttribute(info, "map_shape")) map_ = AttributeList(info, "map_shape", 3);
    if (*std::min_element(map_.begin(), map_.end()) < 1) Fail("attribute map_shape: expected positive sizes [D,H,W]");
  }

  void Compute(Ort::KernelContext context) const {
    const Counts counts = ReadCounts(context);
    const std::vector<Hidden> hidden = ReadHidden(context, counts);
    const auto positions = static_cast<int64_t>(hidden.size());
    if (!IsGiven(context, In::y_boxes)) {
      const Block whole = {{{0, counts.size[0]}, {0, counts.size[1]}, {0, counts.size[2]}}};
      bool* out = context.GetOutput(0, {positions}).GetTensorMutableData<bool>();
      for (size_t p = 0; p < hidden.size(); ++p) out[p] = IsBaseline(counts, whole, hidden[p]);
      return;
    }
    const BoxList boxes = ReadBoxes(context, In::y_boxes, {map_[1], map_[2]});
    const int64_t depth = map_[0];
    if (boxes.count != positions * depth) Fail("y_boxes: expected " + std::to_string(depth) + " a window");
    const Range *z_fields = ReadFields(context, counts), *y_fields = z_fields + depth, *x_fields = y_fields + map_[1];
    bool* out = context.GetOutput(0, {boxes.rows()}).GetTensorMutableData<bool>();
    WalkPixels(boxes, 0, boxes.count, [&](int64_t b, int64_t y, int64_t x, int64_t row) {
      out[row] = IsBaseline(counts, {{z_fields[b % depth], y_fields[y], x_fields[x]}}, hidden[b / depth]);
    });
  }

 private:
  static Counts ReadCounts(const Ort::KernelContext& context) {
    const Ort::ConstValue value = context.GetInput(In::counts.index);
    const std::vector<int64_t> shape = value.GetTensorTypeAndShapeInfo().GetShape();
    if (shape.size() != 3 || *std::min_element(shape.begin(), shape.end()) < 1) {
      Fail("counts: expected [D+1,H+1,W+1], found shape " + ShapeText(shape));
    }
    return {value.GetTensorData<int32_t>(), {shape[0] - 1, shape[1] - 1, shape[2] - 1}};
  }

  static std::vector<Hidden> ReadHidden(const Ort::KernelContext& context, const Counts& counts) {
    const std::vector<int64_t> shape = context.GetInput(In::windows.index).GetTensorTypeAndShapeInfo().GetShape();
    const size_t axes = shape.size() == 2 && shape[1] >= 2 && shape[1] <= 6 ? static_cast<size_t>(shape[1]) / 2 : 2;
    const RegionList windows = ReadRegions(context, In::windows, {counts.size.end() - axes, counts.size.end()});
    const int64_t* offsets = ReadOffsets(context, In::offsets, windows.count);
    const bool has_patches = ReadValues(context, In::patches).rows > 0;
    const Ort::ConstValue mask_value = context.GetInput(In::mask.index);
    const auto mask_rows = static_cast<int64_t>(mask_value.GetTensorTypeAndShapeInfo().GetElementCount());
    const bool* mask = mask_value.GetTensorData<bool>();
    std::vector<Hidden> hidden;
    for (int64_t p = 0; p < windows.count; ++p) {
      const Region region = windows[p];
      Hidden one{{{{0, 1}, {0, 1}, {0, 1}}}, true, has_patches};
      for (size_t axis = 0; axis < axes; ++axis) {
        const int64_t first = region.start(axis);
        one.window[3 - axes + axis] = {first, first + region.size(axis)};
      }
      const int64_t pixels = windows.offsets[p + 1] - windows.offsets[p];
      if (mask_rows > 0 && pixels > 0) {
        if (offsets[p] < 0 || offsets[p] > mask_rows - pixels) Fail("offsets: outside mask");
        one.shows_baseline = std::all_of(mask + offsets[p], mask + offsets[p] + pixels, [](bool m) { return m; });
      }
      hidden.push_back(one);
    }
    return hidden;
  }

  const Range* ReadFields(const Ort::KernelContext& context, const Counts& counts) const {
    static_assert(sizeof(Range) == 2 * sizeof(int64_t), "ranges are read straight from the tensor");
    if (!IsGiven(context, In::fields)) Fail("fields: expected those of the boxes' map");
    const Ort::ConstValue value = context.GetInput(In::fields.index);
    const std::vector<int64_t> shape = value.GetTensorTypeAndShapeInfo().GetShape();
    if (shape != std::vector<int64_t>{map_[0] + map_[1] + map_[2], 2}) {
      Fail("fields: expected a pair for each place of the map, found shape " + ShapeText(shape));
    }
    const auto* fields = reinterpret_cast<const Range*>(value.GetTensorData<int64_t>());
    const Range* next = fields;
    for (size_t axis = 0; axis < 3; ++axis) {
      for (int64_t i = 0; i < map_[axis]; ++i, ++next) {
        if (next->first < 0 || next->last < next->first || next->last > counts.size[axis]) {
          Fail("fields: outside the image");
        }
      }
    }
    return fields;
  }

  std::vector<int64_t> map_ = {1, 1, 1};
};

}  // namespace

const OrtCustomOp* BaselineRowsOp() {
  static const Op<BaselineRows> op;
  return &op;
}

}  // namespace krypton
