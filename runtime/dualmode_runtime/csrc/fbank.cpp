#include "fbank.h"

#include <cfloat>
#include <cmath>
#include <cstdint>

namespace dualmode {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr float kRate = 16000.0f, kLow = 20.0f, kHigh = 7600.0f;

float mel(float hertz) { return 1127.0f * std::log(1.0f + hertz / 700.0f); }

}  // namespace

Fbank::Fbank() : real_(kFft), imaginary_(kFft) {
  for (size_t i = 0; i < kLength; ++i)
    window_.push_back(float(std::pow(0.5 - 0.5 * std::cos(2.0 * kPi * double(i) / double(kLength - 1)), 0.85)));
  for (size_t i = 0; i < kFft / 2; ++i) {
    cos_.push_back(std::cos(2.0 * kPi * double(i) / double(kFft)));
    sin_.push_back(-std::sin(2.0 * kPi * double(i) / double(kFft)));
  }
  for (size_t i = 0; i < kFft; ++i) {
    size_t r = 0;
    for (size_t bit = 1, back = kFft / 2; bit < kFft; bit *= 2, back /= 2)
      if (i & bit) r |= back;
    reversed_.push_back(r);
  }
  // Triangles of equal width on the mel scale, each reaching to the centres of its neighbours.
  const float low = mel(kLow), step = (mel(kHigh) - low) / float(kBins + 1);
  for (size_t bin = 0; bin < kBins; ++bin) {
    const float left = low + float(bin) * step, centre = left + step, right = centre + step;
    Filter filter{0, {}};
    for (size_t i = 0; i < kFft / 2; ++i) {
      const float at = mel(kRate / float(kFft) * float(i));
      if (at <= left || at >= right) continue;
      if (filter.weights.empty()) filter.first = i;
      filter.weights.push_back(at <= centre ? (at - left) / (centre - left) : (right - at) / (right - centre));
    }
    filters_.push_back(filter);
  }
}

void Fbank::reset() {
  samples_.clear();
  dropped_ = heard_ = frame_ = 0;
  finished_ = false;
}

void Fbank::accept(const float* samples, size_t count) {
  samples_.insert(samples_.end(), samples, samples + count);
  heard_ += count;
}

bool Fbank::next(float* features) {
  const int64_t heard = int64_t(heard_), first = int64_t(frame_ * kShift + kShift / 2) - int64_t(kLength / 2);
  if (finished_ ? frame_ >= frames(heard_) : first + int64_t(kLength) > heard) return false;

  float frame[kLength];
  double total = 0.0;
  for (size_t i = 0; i < kLength; ++i) {
    int64_t at = first + int64_t(i);
    while (at < 0 || at >= heard) at = at < 0 ? -at - 1 : 2 * heard - 1 - at;
    frame[i] = samples_[size_t(uint64_t(at) - dropped_)];
    total += double(frame[i]);
  }
  const float mean = float(total / double(kLength));
  for (float& sample : frame) sample -= mean;
  for (size_t i = kLength; --i > 0;) frame[i] -= 0.97f * frame[i - 1];
  frame[0] -= 0.97f * frame[0];
  for (size_t i = 0; i < kFft; ++i) {
    const size_t to = reversed_[i];
    real_[to] = i < kLength ? double(frame[i] * window_[i]) : 0.0;
    imaginary_[to] = 0.0;
  }
  transform();
  for (size_t bin = 0; bin < kBins; ++bin) {
    const Filter& filter = filters_[bin];
    double energy = 0.0;
    for (size_t i = 0; i < filter.weights.size(); ++i) {
      const size_t at = filter.first + i;
      energy += double(filter.weights[i]) * (real_[at] * real_[at] + imaginary_[at] * imaginary_[at]);
    }
    features[bin] = std::log(std::fmax(float(energy), FLT_EPSILON));
  }
  ++frame_;

  // Keep what later frames see; a mirrored end reaches one frame back.
  const uint64_t needed = frame_ * kShift < 2 * kLength ? 0 : frame_ * kShift - 2 * kLength;
  if (needed > dropped_ + 16000) {
    samples_.erase(samples_.begin(), samples_.begin() + std::ptrdiff_t(needed - dropped_));
    dropped_ = needed;
  }
  return true;
}

// Radix-2 transform in place, of input in bit-reversed order.
void Fbank::transform() {
  for (size_t size = 2; size <= kFft; size *= 2) {
    const size_t half = size / 2, step = kFft / size;
    for (size_t start = 0; start < kFft; start += size) {
      for (size_t i = 0; i < half; ++i) {
        const size_t a = start + i, b = a + half;
        const double c = cos_[i * step], s = sin_[i * step];
        const double real = real_[b] * c - imaginary_[b] * s, imaginary = real_[b] * s + imaginary_[b] * c;
        real_[b] = real_[a] - real;
        imaginary_[b] = imaginary_[a] - imaginary;
        real_[a] += real;
        imaginary_[a] += imaginary;
      }
    }
  }
}

}  // namespace dualmode
