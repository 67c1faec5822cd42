// The inputs of the box ops, which run on the CPU alone.
#pragma once

#include "op/attributes.h"
#include "op/inputs.h"

namespace krypton {

struct WindowBoxesInputs {
  static constexpr Input boxes{0, "boxes", kInt32}, tau{1, "tau", kFloatOptional};
  static constexpr Input kAll[] = {boxes, tau};
};

struct UnionBoxesInputs {
  static constexpr Input boxes{0, "boxes", kInt32Variadic};
  static constexpr Input kAll[] = {boxes};
};

struct StackBoxesInputs {
  static constexpr Input boxes{0, "boxes", kInt32Variadic};
  static constexpr Input kAll[] = {boxes};
};

struct TranslateBoxesInputs {
  static constexpr Input boxes{0, "boxes", kInt32};
  static constexpr Input kAll[] = {boxes};
};

struct TransposeBoxesInputs {
  static constexpr Input boxes{0, "boxes", kInt32};
  static constexpr Input kAll[] = {boxes};
};

struct ResampleBoxesInputs {
  static constexpr Input boxes{0, "boxes", kInt32}, y_index{1, "y_index", kInt64}, x_index{2, "x_index", kInt64};
  static constexpr Input kAll[] = {boxes, y_index, x_index};
};

struct DepthBoxesInputs {
  static constexpr Input boxes{0, "boxes", kInt32};
  static constexpr Input kAll[] = {boxes};
};

struct SliceBoxesInputs {
  static constexpr Input boxes{0, "boxes", kInt32}, offsets{1, "offsets", kInt64};
  static constexpr Input kAll[] = {boxes, offsets};
};

struct DifferenceCountsInputs {
  static constexpr Input image{0, "image", kFloat}, baseline{1, "baseline", kFloat};
  static constexpr Input kAll[] = {image, baseline};
};

struct BaselineRowsInputs {
  static constexpr Input windows{0, "windows", kInt32}, offsets{1, "offsets", kInt64}, patches{2, "patches", kFloat},
      mask{3, "mask", kBool}, counts{4, "counts", kInt32}, y_boxes{5, "y_boxes", kInt32Optional},
      fields{6, "fields", kInt64Optional};
  static constexpr Input kAll[] = {windows, offsets, patches, mask, counts, y_boxes, fields};
};

struct ShrinkBoxesInputs {
  static constexpr Input X{0, "X", kFloat}, boxes{1, "boxes", kInt32};
  static constexpr Input kAll[] = {X, boxes};
};

}  // namespace krypton
