// Every op of the library, one function each, defined in the file named after it.
#pragma once

#include "op/ort.h"

namespace krypton {

const OrtCustomOp* BaseMapOp();
const OrtCustomOp* DeltaLimitOp();
const OrtCustomOp* DensifyOp();
const OrtCustomOp* DepthBoxesOp();
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
const OrtCustomOp* OcclusionChunksOp();
const OrtCustomOp* OcclusionDeltaOp();
const OrtCustomOp* ResampleBoxesOp();
const OrtCustomOp* ShrinkBoxesOp();
const OrtCustomOp* SliceBoxesOp();
const OrtCustomOp* StackBoxesOp();
const OrtCustomOp* TranslateBoxesOp();
const OrtCustomOp* UnionBoxesOp();
const OrtCustomOp* WindowBoxesOp();

}  // namespace krypton
