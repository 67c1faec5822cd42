// All ops of this library.
#pragma once

#include <vector>

#include "op/ort.h"

namespace krypton {

std::vector<const OrtCustomOp*> Ops();

}  // namespace krypton
