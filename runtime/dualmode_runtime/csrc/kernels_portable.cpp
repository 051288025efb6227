// Kernels for every machine: vectors of four floats, which are SSE2 on x86-64 and NEON on ARM.
#include "kernels.h"

namespace dualmode {
namespace {
namespace portable {

constexpr const char* kName = "portable";
constexpr int kLanes = 4;
constexpr size_t kTile = 4;
constexpr uint32_t kFlip = 0;

template <int L>
struct Dot {
  typedef int32_t W __attribute__((vector_size(16)));
  const int8_t* w;

  explicit Dot(const int8_t* from) : w(from) {}
  static W start(const int32_t*) { return W{}; }
  W operator()(W sums, uint32_t x) const {
    int8_t four[4];
    __builtin_memcpy(four, &x, 4);
    for (int r = 0; r < 4; ++r)
      sums[r] += w[4 * r] * four[0] + w[4 * r + 1] * four[1] + w[4 * r + 2] * four[2] + w[4 * r + 3] * four[3];
    return sums;
  }
};

#include "kernels.inc"

}  // namespace portable
}  // namespace

const Kernels* portable_kernels() { return &portable::kernels; }

}  // namespace dualmode
