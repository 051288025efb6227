#include "encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace dualmode {
namespace {

constexpr size_t kGroup = 4;             // encoder frames whose patches are convolved at once
constexpr int64_t kNever = INT64_MIN / 2;
constexpr float kHidden = -1e30f;        // added to the score of a slot that must not be seen

}  // namespace

Encoder::Encoder(const Model& model, const Kernels& kernels)
    : model_(model), c_(model.config), k_(kernels), window_(round_up(c_.window(), kAlign)),
      head_stride_(round_up(c_.head_size, kAlign)) {
  for (size_t i = 0; i < c_.head_size / 2; ++i)
    frequencies_.push_back(std::pow(10000.0, -2.0 * double(i) / double(c_.head_size)));
  for (size_t i = 0; i < c_.blocks; ++i)
    caches_.push_back({Buffer<float>(c_.heads * c_.head_size * window_), Rows(window_, c_.heads * head_stride_),
                       Rows(c_.reach(), c_.inner)});
  held_.assign(c_.window(), kNever);
  slots_.resize(c_.heard());

  const size_t heard = c_.heard(), patch = 9 * c_.channels;
  const size_t widest = std::max({c_.units, 3 * c_.attended(), 2 * c_.inner});
  const size_t mapped = c_.bins2() * c_.channels;
  features_ = Rows(chunk_features(), c_.bins);
  planes_ = Buffer<float>((2 * heard + 1) * c_.bins1() * c_.channels);
  patches_ = Rows(kGroup * c_.bins2(), patch);
  convolved_ = Rows(kGroup * c_.bins2(), c_.channels);
  subsampled_ = Rows(heard, mapped);
  x_ = Rows(heard, c_.size);
  normed_ = Rows(heard, std::max(c_.size, c_.inner));
  wide_ = Rows(heard, widest);
  gated_ = Rows(heard + 2 * c_.reach(), c_.inner);
  mixed_ = Rows(heard, std::max(c_.attended(), c_.inner));
  scores_ = Rows(heard, window_);
  head_ = Rows(heard, c_.outputs());
  mask_ = Buffer<float>(window_);
  cos_ = Buffer<float>(heard * c_.head_size / 2);
  sin_ = Buffer<float>(heard * c_.head_size / 2);
  const size_t frames = std::max(heard, kGroup * c_.bins2());
  const size_t values = std::max(kGroup * c_.bins2() * round_up(patch, kBlockColumns),
                                 heard * round_up(std::max({widest, mapped, c_.size}), kBlockColumns));
  packing_ = Packing(c_.precision, frames, values);
}

void Encoder::reset() {
  for (Cache& cache : caches_) {
    cache.keys.clear();
    cache.values.clear();
    cache.convolution.clear();
  }
  std::fill(held_.begin(), held_.end(), kNever);
  start_ = 0;
}

void Encoder::multiply(const OwnedMatrix& matrix, const Rows& x, Rows& y, size_t count, Store store, float scale) {
  packing_.multiply(k_, matrix.view(), x.data(), x.stride(), count, {y.data(), y.stride(), store, scale});
}

void Encoder::normalise(const Rows& from, const Norm& norm, Rows& to, size_t count, bool silu) {
  const size_t size = norm.weight.size();
  k_.layer_norm(from.data(), from.stride(), norm.weight.data(), norm.bias.data(), to.data(), to.stride(), count,
                size, silu);
}

size_t Encoder::run(const float* features, size_t frames) {
  const size_t count = (frames - 3) / 4;
  subsample(features, frames, count);
  place(count);
  for (size_t i = 0; i < c_.blocks; ++i) {
    const BlockWeights& weights = model_.blocks[i];
    feed_forward(weights.up1, weights.down1, weights.norms[0], count);
    attend(weights, caches_[i], count);
    convolve(weights, caches_[i], count);
    feed_forward(weights.up2, weights.down2, weights.norms[3], count);
    normalise(x_, weights.norms[4], x_, count);
  }
  const size_t own = std::min(count, c_.chunk);
  multiply(model_.head, x_, head_, own, Store::plain);
  start_ += int64_t(own);
  return own;
}

void Encoder::run_products(size_t count) {
  for (const BlockWeights& weights : model_.blocks) {
    multiply(weights.up1, normed_, wide_, count, Store::plain);
    multiply(weights.down1, wide_, x_, count, Store::plain);
    multiply(weights.qkv, normed_, wide_, count, Store::plain);
    multiply(weights.out, mixed_, x_, count, Store::plain);
    multiply(weights.expand, normed_, wide_, count, Store::plain);
    multiply(weights.project, normed_, x_, count, Store::plain);
    multiply(weights.up2, normed_, wide_, count, Store::plain);
    multiply(weights.down2, wide_, x_, count, Store::plain);
  }
}

// Features to x: normalisation, two convolutions, projection.
void Encoder::subsample(const float* features, size_t frames, size_t count) {
  for (size_t t = 0; t < frames; ++t)
    for (size_t i = 0; i < c_.bins; ++i)
      features_[t][i] = (features[t * c_.bins + i] - model_.mean[i]) / model_.std[i];
  const size_t width1 = c_.bins1(), width2 = c_.bins2(), channels = c_.channels;
  k_.convolve(features_.data(), features_.stride(), model_.convolution.data(), model_.convolution_bias.data(),
              planes_.data(), 2 * count + 1, width1, channels);
  for (size_t first = 0; first < count; first += kGroup) {
    const size_t group = std::min(kGroup, count - first);
    for (size_t t = 0; t < group; ++t)
      for (size_t f = 0; f < width2; ++f)
        for (size_t dt = 0; dt < 3; ++dt)
          std::memcpy(patches_[t * width2 + f] + 3 * dt * channels,
                      planes_.data() + ((2 * (first + t) + dt) * width1 + 2 * f) * channels,
                      3 * channels * sizeof(float));
    multiply(model_.convolution2, patches_, convolved_, group * width2, Store::relu);
    for (size_t t = 0; t < group; ++t)
      for (size_t f = 0; f < width2; ++f)
        std::memcpy(subsampled_[first + t] + f * channels, convolved_[t * width2 + f], channels * sizeof(float));
  }
  multiply(model_.project, subsampled_, x_, count, Store::plain);
}

// Finds the slots in the ring of the chunk and its look-ahead (which the next chunk takes again), their rotations, and
// which slots it sees.
void Encoder::place(size_t count) {
  const size_t half = c_.head_size / 2;
  for (size_t t = 0; t < count; ++t) {
    const int64_t frame = start_ + int64_t(t);
    slots_[t] = size_t(frame % int64_t(c_.window()));
    held_[slots_[t]] = frame;
    for (size_t i = 0; i < half; ++i) {
      const double angle = double(frame) * frequencies_[i];
      cos_[t * half + i] = float(std::cos(angle));
      sin_[t * half + i] = float(std::sin(angle));
    }
  }
  for (size_t slot = 0; slot < window_; ++slot)
    mask_[slot] = slot < c_.window() && held_[slot] >= start_ - int64_t(c_.left) ? 0.0f : kHidden;
}

void Encoder::feed_forward(const OwnedMatrix& up, const OwnedMatrix& down, const Norm& norm, size_t count) {
  normalise(x_, norm, normed_, count);
  multiply(up, normed_, wide_, count, Store::silu);
  multiply(down, wide_, x_, count, Store::add, 0.5f);
}

void Encoder::attend(const BlockWeights& weights, Cache& cache, size_t count) {
  const size_t size = c_.head_size, half = size / 2;
  normalise(x_, weights.norms[1], normed_, count);
  multiply(weights.qkv, normed_, wide_, count, Store::plain);
  const float scale = 1.0f / std::sqrt(float(size));
  for (size_t t = 0; t < count; ++t) {
    const float *cos = cos_.data() + t * half, *sin = sin_.data() + t * half;
    for (size_t head = 0; head < c_.heads; ++head) {
      float* query = wide_[t] + head * size;
      const float *key = query + c_.attended(), *value = key + c_.attended();
      float* keys = cache.keys.data() + head * size * window_ + slots_[t];
      for (size_t i = 0; i < half; ++i) {
        const float left = query[i] * scale, right = query[i + half] * scale;
        query[i] = left * cos[i] - right * sin[i];
        query[i + half] = left * sin[i] + right * cos[i];
        keys[i * window_] = key[i] * cos[i] - key[i + half] * sin[i];
        keys[(i + half) * window_] = key[i] * sin[i] + key[i + half] * cos[i];
      }
      std::memcpy(cache.values[slots_[t]] + head * head_stride_, value, size * sizeof(float));
    }
  }
  // The last vector of a head spills zeros into the next one, which is computed next.
  for (size_t head = 0; head < c_.heads; ++head) {
    k_.gemm(wide_.data() + head * size, wide_.stride(), cache.keys.data() + head * size * window_, window_,
            scores_.data(), scores_.stride(), count, size, window_);
    k_.softmax(scores_.data(), scores_.stride(), mask_.data(), count, window_);
    k_.gemm(scores_.data(), scores_.stride(), cache.values.data() + head * head_stride_, cache.values.stride(),
            mixed_.data() + head * size, mixed_.stride(), count, c_.window(), size);
  }
  multiply(weights.out, mixed_, x_, count, Store::add);
}

void Encoder::convolve(const BlockWeights& weights, Cache& cache, size_t count) {
  const size_t reach = c_.reach(), row = gated_.stride() * sizeof(float);
  normalise(x_, weights.norms[2], normed_, count);
  multiply(weights.expand, normed_, wide_, count, Store::plain);
  if (reach) std::memcpy(gated_.data(), cache.convolution.data(), reach * row);
  k_.glu(wide_.data(), wide_.stride(), gated_[reach], gated_.stride(), count, c_.inner);
  if (reach) {
    std::memset(gated_[reach + count], 0, reach * row);  // nothing past what is heard
    std::memcpy(cache.convolution.data(), gated_[std::min(count, c_.chunk)], reach * row);
  }
  k_.depthwise(gated_.data(), gated_.stride(), weights.depthwise.data(), weights.depthwise_bias.data(), c_.kernel,
               mixed_.data(), mixed_.stride(), count, c_.inner);
  normalise(mixed_, weights.convolution, normed_, count, true);
  multiply(weights.project, normed_, x_, count, Store::add);
}

}  // namespace dualmode
