/* Runs one op without onnxruntime: a C ABI for tests and benchmarks, by ctypes or from any other language.
 *
 *   void* kernel = krypton_make("IncrementalConv", attributes, count, error, sizeof error);
 *   krypton_compute(kernel, inputs, count, allocate, user, stream, error, sizeof error);
 *   krypton_destroy(kernel);
 *
 * Inputs and outputs are as krypton_compile's schemas say; types are ONNX's numbers (1 float, 6 int32, 7 int64, 9
 * bool). Of the library for CUDA, inputs for which krypton_on_host gives 0, and all outputs, lie in the device's
 * memory.
 */
#ifndef KRYPTON_HARNESS_RUN_NODE_H_
#define KRYPTON_HARNESS_RUN_NODE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct KryptonAttribute {
  const char* name;
  const char* text;        /* of a string, else null */
  const int64_t* integers; /* of a list of integers, else null */
  size_t count;
  int64_t integer; /* one integer, or a number that `real` holds too */
  float real;
} KryptonAttribute;

/* type 0 stands for an input that is left out. */
typedef struct KryptonTensor {
  void* data;
  const int64_t* shape;
  size_t rank;
  int32_t type;
} KryptonTensor;

/* Memory of an output, alive as long as its user wants; null where there is none. */
typedef void* (*KryptonAllocate)(void* user, size_t output, const int64_t* shape, size_t rank, int32_t type);

/* Null, with the reason in `error`, where the op is unknown or refuses its attributes. */
void* krypton_make(const char* op, const KryptonAttribute* attributes, size_t count, char* error, size_t error_size);

/* 0, or 1 with the reason in `error`. */
int krypton_compute(void* kernel, const KryptonTensor* inputs, size_t count, KryptonAllocate allocate, void* user,
                    void* stream, char* error, size_t error_size);

void krypton_destroy(void* kernel);

/* Whether an input lies in the host's memory; -1 where the op is unknown. */
int krypton_on_host(const char* op, size_t input);

#ifdef __cplusplus
}
#endif

#endif
