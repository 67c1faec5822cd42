// Geometry of window ops; the same formulas as krypton_compile/geometry.py, which explains them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "geometry/box.h"
#include "math/device.h"

namespace krypton {

// Division that rounds down and up for any sign of the numerator; b > 0.
KRYPTON_DEVICE inline int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0); }
KRYPTON_DEVICE inline int64_t CeilDiv(int64_t a, int64_t b) { return -FloorDiv(-a, b); }

struct Range {
  int64_t lo, hi;
};

struct WindowAxis {
  int64_t kernel, stride, pad, pad_end, dilation, in, out;

  // Outputs that read anything of the non-empty inputs [lo, hi).
  Range Outputs(int64_t lo, int64_t hi) const {
    const int64_t first = CeilDiv(lo + pad - dilation * (kernel - 1), stride);
    const int64_t last = FloorDiv(hi - 1 + pad, stride) + 1;
    return {std::clamp<int64_t>(first, 0, out), std::clamp<int64_t>(last, 0, out)};
  }

  // Taps of output `o` that read inside the inputs [lo, hi): a contiguous range, maybe empty.
  KRYPTON_DEVICE Range Taps(int64_t o, int64_t lo, int64_t hi) const {
    const int64_t start = o * stride - pad;
    const int64_t first = std::max<int64_t>(0, CeilDiv(lo - start, dilation));
    const int64_t last = std::min<int64_t>(kernel, FloorDiv(hi - 1 - start, dilation) + 1);
    return {first, std::max(first, last)};
  }

  // The divisor of an average of output `o` along this axis: its taps inside the map, or inside map and pads.
  KRYPTON_DEVICE int64_t Count(int64_t o, bool include_pad) const {
    const Range taps = include_pad ? Taps(o, -pad, in + pad_end) : Taps(o, 0, in);
    return std::max<int64_t>(1, taps.hi - taps.lo);
  }

  KRYPTON_DEVICE int64_t Input(int64_t o, int64_t tap) const { return o * stride - pad + tap * dilation; }
};

struct Window {
  WindowAxis y, x;
  MapShape input() const { return {y.in, x.in}; }
  MapShape output() const { return {y.out, x.out}; }
};

// The window along the slices of a volume, which takes D_in boxes a position to D_out. There are few slices, so the
// taps of each that lie inside are found once.
struct DepthWindow {
  explicit DepthWindow(const WindowAxis& window) : axis(window) {
    for (int64_t o = 0; o < axis.out; ++o) taps.push_back(axis.Taps(o, 0, axis.in));
  }
  int64_t Position(int64_t y_box) const { return axis.out == 1 ? y_box : y_box / axis.out; }
  int64_t Slice(int64_t y_box) const { return axis.out == 1 ? 0 : y_box % axis.out; }
  // The x_box that a tap of an output slice reads.
  int64_t Source(int64_t position, int64_t slice, int64_t tap) const {
    return position * axis.in + axis.Input(slice, tap);
  }

  WindowAxis axis;
  std::vector<Range> taps;
};

}  // namespace krypton
