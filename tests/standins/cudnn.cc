// Stands in for cuDNN: takes every descriptor, offers one engine for every graph of operations, and computes nothing.
#include <cstddef>
#include <cstdint>
#include <cstring>

extern "C" {

void krypton_standin_called(const char* name);

size_t cudnnGetVersion() { return 91400; }
const char* cudnnGetErrorString(int) { return "no error"; }
void cudnnGetLastErrorString(char* text, size_t size) {
  if (size > 0) *text = '\0';
}
int cudnnBackendCreateDescriptor(int, void** descriptor) {
  *descriptor = new char;
  return 0;
}
// One engine configuration; numbers (workspace, shared memory, index of the engine) are 0; nothing else is known of it.
int cudnnBackendGetAttribute(void*, int attribute, int type, int64_t asked, int64_t* count, void* values) {
  constexpr int kEngines = 202, kInt64 = 3, kInt32 = 23;
  const size_t number = type == kInt64 ? sizeof(int64_t) : type == kInt32 ? sizeof(int32_t) : 0;
  if (count != nullptr) *count = attribute == kEngines || number != 0 ? 1 : 0;
  if (asked > 0 && values != nullptr) std::memset(values, 0, number);
  return 0;
}
int cudnnBackendExecute(void*, void*, void*) {
  krypton_standin_called("cudnnBackendExecute");
  return 0;
}

}  // extern "C"
