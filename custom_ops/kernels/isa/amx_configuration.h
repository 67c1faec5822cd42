// The configuration that AMX's tiles are used with: all eight of 16 rows of 64 bytes.
//
// It is a constant, not filled in on the stack: some versions of GCC tell the optimiser that LDTILECFG reads eight
// bytes of its operand, and stores to the others are then left out.
#pragma once

#include <cstdint>

namespace krypton {

struct alignas(64) TileConfiguration {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfiguration) == 64, "read straight by the processor");
inline constexpr TileConfiguration kTileConfiguration{};

}  // namespace krypton
