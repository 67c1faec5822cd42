// Boxes and ragged rows (geometry/box.h) as kernels see them: boxes and offsets lie in the device's memory.
#pragma once

#include <algorithm>

#include "cuda/device/upload.h"
#include "geometry/box.h"

namespace krypton::cuda {

struct Pixel {
  int64_t box, y, x;
};

struct DeviceBoxes {
  static constexpr int kMarkBits = 8;  // a mark every 256 rows

  const Box* boxes;
  const int64_t* offsets;  // count + 1
  const int32_t* marks;    // the box of each row that has one, then the last box

  // Row r of all boxes' rows.
  KRYPTON_DEVICE Pixel At(int64_t row) const {
    const int32_t* mark = marks + (row >> kMarkBits);
    int32_t lo = mark[0], hi = mark[1] + 1;  // offsets[lo] <= row < offsets[hi]
    while (hi - lo > 1) {
      const int32_t middle = lo + (hi - lo) / 2;
      if (offsets[middle] <= row) {
        lo = middle;
      } else {
        hi = middle;
      }
    }
    const Box box = boxes[lo];
    const int32_t local = static_cast<int32_t>(row - offsets[lo]);
    return {lo, box.y0 + local / box.w, box.x0 + local % box.w};
  }

  // The row of pixel (y, x) in box b, or -1 where the box does not hold it.
  KRYPTON_DEVICE int64_t RowOf(int64_t b, int64_t y, int64_t x) const {
    const Box box = boxes[b];
    const int64_t i = y - box.y0, j = x - box.x0;
    if (i < 0 || i >= box.h || j < 0 || j >= box.w) return -1;
    return offsets[b] + i * box.w + j;
  }
};

// The boxes' place in an upload, until it is sent.
struct PutBoxes {
  size_t boxes, offsets, marks;
  DeviceBoxes In(const Upload& upload) const {
    return {upload.At<Box>(boxes), upload.At<int64_t>(offsets), upload.At<int32_t>(marks)};
  }
};

inline PutBoxes Put(Upload& upload, const BoxList& list) {
  std::vector<int32_t> marks;
  const int64_t rows = list.offsets.empty() ? 0 : list.rows();
  int64_t box = 0;
  for (int64_t row = 0; row < rows; row += int64_t{1} << DeviceBoxes::kMarkBits) {
    while (list.offsets[static_cast<size_t>(box) + 1] <= row) ++box;
    marks.push_back(static_cast<int32_t>(box));
  }
  marks.push_back(static_cast<int32_t>(list.count - 1));
  return {upload.Put(list.data, static_cast<size_t>(list.count)), upload.Put(list.offsets), upload.Put(marks)};
}

// The boxes of a call on the device, sent in one copy, for as long as this lives.
class SentBoxes {
 public:
  SentBoxes(Stream stream, const std::vector<const BoxList*>& lists) : SentBoxes(stream, lists, [](Upload&) {}) {}
  // Sends with them what more(upload) puts.
  template <class More>
  SentBoxes(Stream stream, const std::vector<const BoxList*>& lists, const More& more) : upload_(stream) {
    for (const BoxList* list : lists) put_.push_back(Put(upload_, *list));
    more(upload_);
    upload_.Send();
  }
  DeviceBoxes operator[](size_t list) const { return put_[list].In(upload_); }
  const Upload& upload() const { return upload_; }

 private:
  Upload upload_;
  std::vector<PutBoxes> put_;
};

// Entries up to the limit, in absolute value, become 0; NaN stays. The limit lies in the device's memory, where
// DeltaLimit wrote it; null is exact.
struct DeviceLimit {
  const float* limit;
  KRYPTON_DEVICE float operator()(float y) const {
    if (limit == nullptr || !(*limit > 0.0f)) return y;
    return y <= *limit && y >= -*limit ? 0.0f : y;
  }
};

}  // namespace krypton::cuda
