// A block-sparse matrix that owns its memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.h"
#include "kernels.h"

namespace dualmode {

enum class Precision { f32 = 0, int8 = 1 };

// What a matrix is made from, as it lies in a file: see dualmode/device/FORMAT.md.  The memory must hold all that the
// sizes promise.
struct MatrixSource {
  Precision precision;
  size_t outputs, inputs, block_rows;
  const uint8_t* bitmask;  // (row blocks * column blocks) bits, the first one in the highest bit
  size_t kept;             // bits that are set
  const uint8_t* values;   // (kept, block_rows, kBlockColumns) float or int8, of any alignment
  const float* scales;     // (padded outputs), for int8
  const float* bias;       // (outputs)
};

size_t row_blocks(size_t outputs, size_t block_rows);
size_t column_blocks(size_t inputs);

// Counts the bits that are set among the first `bits`; bits beyond them must be zero, else returns SIZE_MAX.
size_t count_bits(const uint8_t* bitmask, size_t bits);

class OwnedMatrix {
 public:
  OwnedMatrix() = default;
  // Throws std::runtime_error where a value is not finite, or lies outside of outputs x inputs and is not zero.
  explicit OwnedMatrix(const MatrixSource& source);
  const Matrix& view() const { return view_; }

 private:
  Matrix view_;
  Buffer<uint32_t> starts_;
  Buffer<uint16_t> columns_;
  Buffer<float> f32_, scales_, bias_;
  Buffer<int8_t> i8_;
  Buffer<int32_t> sums_;
};

// Room to pack activations of up to `frames` x `inputs`.
class Packing {
 public:
  Packing() = default;
  Packing(Precision precision, size_t frames, size_t values);
  // y = store(matrix x + bias), for x of `frames` rows.
  void multiply(const Kernels& kernels, const Matrix& matrix, const float* x, size_t stride, size_t frames,
                const Output& output);

 private:
  Buffer<float> f32_, scales_;
  Buffer<uint32_t> i8_;
};

}  // namespace dualmode
