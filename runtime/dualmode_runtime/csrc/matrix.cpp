#include "matrix.h"

#include <cmath>
#include <cstring>
#include <stdexcept>

namespace dualmode {

size_t row_blocks(size_t outputs, size_t block_rows) { return round_up(outputs, block_rows) / block_rows; }
size_t column_blocks(size_t inputs) { return round_up(inputs, kBlockColumns) / kBlockColumns; }

namespace {

bool bit(const uint8_t* bitmask, size_t i) { return bitmask[i / 8] >> (7 - i % 8) & 1; }

}  // namespace

size_t count_bits(const uint8_t* bitmask, size_t bits) {
  size_t count = 0;
  for (size_t i = 0; i < bits; ++i) count += bit(bitmask, i);
  for (size_t i = bits; i < round_up(bits, 8); ++i)
    if (bit(bitmask, i)) return SIZE_MAX;
  return count;
}

OwnedMatrix::OwnedMatrix(const MatrixSource& source) {
  const size_t rows = source.block_rows, down = row_blocks(source.outputs, rows), across = column_blocks(source.inputs);
  const size_t block = rows * kBlockColumns;
  const bool quantised = source.precision == Precision::int8;
  starts_ = Buffer<uint32_t>(down + 1);
  columns_ = Buffer<uint16_t>(source.kept);
  bias_ = Buffer<float>(down * rows);
  if (quantised) {
    i8_ = Buffer<int8_t>(source.kept * block);
    scales_ = Buffer<float>(down * rows);
    sums_ = Buffer<int32_t>(down * rows);
    if (down) std::memcpy(scales_.data(), source.scales, down * rows * sizeof(float));
  } else {
    f32_ = Buffer<float>(source.kept * block);
  }
  if (source.outputs) std::memcpy(bias_.data(), source.bias, source.outputs * sizeof(float));

  size_t kept = 0;
  for (size_t row = 0; row < down; ++row) {
    starts_[row] = uint32_t(kept);
    for (size_t column = 0; column < across; ++column) {
      if (!bit(source.bitmask, row * across + column)) continue;
      columns_[kept] = uint16_t(column);
      for (size_t r = 0; r < rows; ++r) {
        for (size_t c = 0; c < kBlockColumns; ++c) {
          const size_t from = kept * block + r * kBlockColumns + c;
          bool zero;
          if (quantised) {
            const int8_t value = int8_t(source.values[from]);
            i8_[from] = value;
            sums_[row * rows + r] += value;
            zero = value == 0;
          } else {
            float value;
            std::memcpy(&value, source.values + from * sizeof(float), sizeof(float));
            if (!std::isfinite(value)) throw std::runtime_error("a value is not finite");
            f32_[kept * block + c * rows + r] = value;
            zero = value == 0.0f;
          }
          const bool outside = row * rows + r >= source.outputs || column * kBlockColumns + c >= source.inputs;
          if (outside && !zero) throw std::runtime_error("a value lies outside of the matrix");
        }
      }
      ++kept;
    }
  }
  starts_[down] = uint32_t(kept);
  view_ = Matrix{rows,
                 source.outputs,
                 source.inputs,
                 down,
                 starts_.data(),
                 columns_.data(),
                 quantised ? nullptr : f32_.data(),
                 quantised ? i8_.data() : nullptr,
                 scales_.data(),
                 sums_.data(),
                 bias_.data()};
}

Packing::Packing(Precision precision, size_t frames, size_t values) {
  if (precision == Precision::int8) {
    i8_ = Buffer<uint32_t>(values / kBlockColumns);
    scales_ = Buffer<float>(frames);
  } else {
    f32_ = Buffer<float>(values);
  }
}

void Packing::multiply(const Kernels& kernels, const Matrix& matrix, const float* x, size_t stride, size_t frames,
                       const Output& output) {
  Packed packed{f32_.data(), i8_.data(), scales_.data(), frames};
  (matrix.i8 ? kernels.pack_i8 : kernels.pack_f32)(x, stride, matrix.inputs, packed);
  kernels.product(matrix, packed, output);
}

}  // namespace dualmode
