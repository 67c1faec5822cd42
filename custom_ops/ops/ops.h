// Every op of the library, one function each, defined in the file named after it.
#pragma once

#include "op/ort.h"

namespace krypton {

#define KRYPTON_OP(name, family, kernels) const OrtCustomOp* name##Op();
#include "ops.def"
#undef KRYPTON_OP

}  // namespace krypton
