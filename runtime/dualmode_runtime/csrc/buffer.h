// Memory that kernels may read and write in whole vectors: aligned, zero at first, with one vector to spare.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

#include "kernels.h"

namespace dualmode {

template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) : size_(size) {
    const size_t bytes = round_up((size + kAlign) * sizeof(T), 64);
    data_.reset(static_cast<T*>(::operator new(bytes, kLine)));  // MinGW has no aligned_alloc
    std::memset(static_cast<void*>(data_.get()), 0, bytes);
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_.get()[i]; }
  const T& operator[](size_t i) const { return data_.get()[i]; }
  void clear() { std::memset(static_cast<void*>(data_.get()), 0, size_ * sizeof(T)); }

 private:
  static constexpr std::align_val_t kLine{64};  // bytes of a cache line
  struct Free {
    void operator()(T* p) const { ::operator delete(p, kLine); }
  };
  std::unique_ptr<T, Free> data_;
  size_t size_ = 0;
};

// Rows of activations.  The extra vector keeps rows apart in the cache: with a stride of a power of two, the same
// columns of all rows would fall into one set of it.
class Rows {
 public:
  Rows() = default;
  Rows(size_t rows, size_t width) : stride_(stride_of(width)), buffer_(rows * stride_) {}
  static size_t stride_of(size_t width) { return round_up(width, kAlign) + kAlign; }
  float* operator[](size_t row) { return buffer_.data() + row * stride_; }
  const float* operator[](size_t row) const { return buffer_.data() + row * stride_; }
  float* data() { return buffer_.data(); }
  const float* data() const { return buffer_.data(); }
  size_t stride() const { return stride_; }
  void clear() { buffer_.clear(); }

 private:
  size_t stride_ = 0;
  Buffer<float> buffer_;
};

}  // namespace dualmode
