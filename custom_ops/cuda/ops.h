// Every op that the CUDA provider has a kernel for, one function each.
//
// On the CPU remain, by design: all box ops and OcclusionChunks, which make integers, and ShrinkBoxes, which would have
// to bring boxes back from the device (the compiler leaves it out for CUDA).
#pragma once

#include "op/ort.h"

namespace krypton::cuda {

const OrtCustomOp* BaseMapOp();
const OrtCustomOp* DeltaLimitOp();
const OrtCustomOp* DensifyOp();
const OrtCustomOp* DepthGatherOp();
const OrtCustomOp* IncrementalActivationOp();
const OrtCustomOp* IncrementalAddOp();
const OrtCustomOp* IncrementalAveragePoolOp();
const OrtCustomOp* IncrementalBinaryOp();
const OrtCustomOp* IncrementalClipOp();
const OrtCustomOp* IncrementalConcatOp();
const OrtCustomOp* IncrementalConvOp();
const OrtCustomOp* IncrementalGemmOp();
const OrtCustomOp* IncrementalGlobalAveragePoolOp();
const OrtCustomOp* IncrementalGlobalMaxPoolOp();
const OrtCustomOp* IncrementalLRNOp();
const OrtCustomOp* IncrementalLayerNormOp();
const OrtCustomOp* IncrementalLpPoolOp();
const OrtCustomOp* IncrementalMaxPoolOp();
const OrtCustomOp* IncrementalPadOp();
const OrtCustomOp* IncrementalReduceChannelsOp();
const OrtCustomOp* IncrementalResampleOp();
const OrtCustomOp* IncrementalScaleOp();
const OrtCustomOp* IncrementalSoftmaxOp();
const OrtCustomOp* OcclusionDeltaOp();

}  // namespace krypton::cuda
