// Reads the inputs of a call and makes its outputs. Readers check type, rank and bounds, and fail with the input's
// name: boxes come from callers, and nothing behind these checks may read out of bounds.
#pragma once

#include <cstdint>
#include <vector>

#include "geometry/box.h"
#include "geometry/region.h"
#include "geometry/resample_axis.h"
#include "geometry/window.h"
#include "op/fail.h"
#include "op/slots.h"

namespace krypton {

// Boxes [B, 4] on a map of that size, or on any.
BoxList ReadBoxes(const Ort::KernelContext& context, const Input& input);
BoxList ReadBoxes(const Ort::KernelContext& context, const Input& input, MapShape map);

// A matrix, or the rows of a delta, as many as its boxes have pixels.
Values ReadValues(const Ort::KernelContext& context, const Input& input);
Values ReadValues(const Ort::KernelContext& context, const Input& input, const BoxList& boxes);

// [H, W, C] or [D, H, W, C].
BaseMap ReadBaseMap(const Ort::KernelContext& context, const Input& input);

// [C], one number a channel.
const float* ReadPerChannel(const Ort::KernelContext& context, const Input& input, int64_t channels);

// bool [rows], one a row of the values.
const bool* ReadRowFlags(const Ort::KernelContext& context, const Input& input, int64_t rows);

// [B], the first row of each box.
const int64_t* ReadOffsets(const Ort::KernelContext& context, const Input& input, int64_t boxes);

// Boxes [B, 2n], each inside the image of n axes.
RegionList ReadRegions(const Ort::KernelContext& context, const Input& input, const std::vector<int64_t>& image);

// The table of one axis of `in` pixels, with weights or without.
ResampleAxis ReadResampleAxis(const Ort::KernelContext& context, const Input& index, int64_t in);
ResampleAxis ReadResampleAxis(const Ort::KernelContext& context, const Input& index, const Input& weight, int64_t in);

// The first output, [rows, channels] or [count, 4].
float* WriteValues(Ort::KernelContext& context, int64_t rows, int64_t channels);
Box* WriteBoxes(Ort::KernelContext& context, int64_t count);

// Every box of `hull` lies inside the hull of the boxes of the same position in `parts`: a caller's boxes cannot ask
// for more rows than the parts have room for.
void CheckInside(const BoxList& hull, const std::vector<BoxList>& parts);
void CheckSameCount(const BoxList& a, const BoxList& b, const char* a_name, const char* b_name);
void CheckMap(const BaseMap& map, const Input& input, MapShape shape, int64_t channels, int64_t depth = 1);
// There are as many boxes a position as the volume has slices.
void CheckSlices(const BoxList& boxes, const Input& input, int64_t depth);
// The same before and after a window along the slices, of equally many positions.
void CheckPositions(const DepthWindow& depth, const BoxList& x_boxes, const Input& x_input, const BoxList& y_boxes,
                    const Input& y_input);

}  // namespace krypton
