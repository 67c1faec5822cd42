#include "op/parts.h"

#include <algorithm>
#include <string>
#include <utility>

namespace krypton {

namespace {

// Floats of a part that are fetched while the one before is gathered.
constexpr int64_t kAhead = 1024;

}  // namespace

Parts ReadParts(const Ort::KernelContext& context, const Input& boxes, const Input& values, const BoxList& y_boxes) {
  const BoxList all = ReadBoxes(context, boxes);
  const auto count = static_cast<int64_t>(context.GetInputCount()) - static_cast<int64_t>(values.index);
  const int64_t positions = y_boxes.count;
  if (count < 1 || all.count != count * positions) {
    Fail(std::string(boxes.name) + ": expected " + std::to_string(count) + " times " + std::to_string(positions) +
         " boxes, found " + std::to_string(all.count));
  }
  Parts parts;
  for (int64_t part = 0; part < count; ++part) {
    const auto first = all.offsets.begin() + part * positions;
    BoxList own{all.data + part * positions, positions, {first, first + positions + 1}};
    for (int64_t& offset : own.offsets) offset -= all.offsets[static_cast<size_t>(part * positions)];
    parts.values.push_back(ReadValues(context, values[static_cast<size_t>(part)], own));
    parts.boxes.push_back(std::move(own));
    parts.channels += parts.values.back().channels;
  }
  CheckInside(y_boxes, parts.boxes);
  return parts;
}

PartGather::PartGather(const Parts& parts, const GatherRule& rule) : rule_(rule) {
  for (const Values& values : parts.values) channels_.push_back(values.channels);
  const int64_t positions = parts.boxes.front().count;
  places_.reserve(static_cast<size_t>(positions) * channels_.size());
  for (int64_t b = 0; b < positions; ++b) {
    for (size_t part = 0; part < channels_.size(); ++part) {
      const BoxList& boxes = parts.boxes[part];
      places_.push_back({boxes[b], parts.values[part].row(boxes.offsets[b])});
    }
  }
}

void PartGather::operator()(int64_t b, int64_t y, int64_t x0, int64_t x1, float* out, const int64_t* rows) const {
  const auto gather = ActiveKernels().gather;
  const Place* place = places_.data() + b * static_cast<int64_t>(channels_.size());
  GatherRun run{};
  run.scale = rule_.scale, run.z_stride = rule_.z.channels, run.lo = rule_.lo, run.hi = rule_.hi;
  const float* z = rule_.z.data == nullptr ? nullptr : rule_.z.pixel(b, y, x0);
  // The part's own pixels, [from, to); beside them are zeros.
  struct Own {
    int64_t from, to;
    const float* x;
  };
  const auto find = [&](size_t part) -> Own {
    const Box& box = place[part].box;
    if (y < box.y0 || y >= box.y1()) return {x1, x1, nullptr};
    const int64_t from = std::clamp<int64_t>(box.x0, x0, x1), to = std::clamp<int64_t>(box.x1(), from, x1);
    const float* x = place[part].first + ((y - box.y0) * box.w + from - box.x0) * channels_[part];
    for (int64_t i = 0; i < std::min<int64_t>((to - from) * channels_[part], kAhead); i += 16)
      __builtin_prefetch(x + i);
    return {from, to, x};
  };
  Own next = find(0);
  for (size_t index = 0; index < channels_.size(); ++index) {
    const int64_t channels = channels_[index];
    const auto [from, to, x] = next;
    if (index + 1 < channels_.size()) next = find(index + 1);
    run.channels = channels, run.y = out;
    const auto part = [&](int64_t begin, int64_t end, const float* values) {
      if (begin == end) return;
      run.x = values, run.count = end - begin, run.rows = rows + (begin - x0);
      run.z = z == nullptr ? nullptr : z + (begin - x0) * run.z_stride;
      gather(run);
    };
    part(x0, from, nullptr);
    part(from, to, x);
    part(to, x1, nullptr);
    out += channels;
    if (run.scale != nullptr) run.scale += channels;
    if (z != nullptr) z += channels;
  }
}

}  // namespace krypton
