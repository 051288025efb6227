#include "resampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

namespace dualmode {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kBeta = 9.0;        // of the Kaiser window: side lobes 90 dB down
constexpr double kCrossings = 40.0;  // of the sinc with zero, on each side
constexpr size_t kLanes = 8;

// Modified Bessel function of the first kind, order 0.
double bessel(double x) {
  double sum = 1.0, term = 1.0;
  for (int k = 1; term > 1e-12 * sum; ++k) {
    term *= x / (2.0 * k) * (x / (2.0 * k));
    sum += term;
  }
  return sum;
}

}  // namespace

Resampler::Resampler(int64_t rate) : rate_(size_t(rate)) {
  const size_t common = std::gcd(rate_, kRate);
  if (rate < 4000 || rate > 384000 || common < 25)
    throw std::runtime_error("audio of " + std::to_string(rate) + " Hz cannot be resampled to 16000 Hz here: expected 4000 to 384000 Hz, a multiple of 25, 32 or 40");
  up_ = kRate / common;
  down_ = rate_ / common;
  // In cycles an input: half of the slower rate.
  const double cutoff = 0.5 * std::min(1.0, double(kRate) / double(rate));
  const double width = kCrossings / (2.0 * cutoff);
  reach_ = (size_t(std::ceil(width)) + kLanes / 2) / (kLanes / 2) * (kLanes / 2);
  const size_t taps = 2 * reach_;
  filters_.resize(up_ * taps);
  for (size_t phase = 0; phase < up_; ++phase) {
    const double fraction = double(phase) / double(up_);
    float* filter = filters_.data() + phase * taps;
    double total = 0.0;
    std::vector<double> values(taps);
    for (size_t k = 0; k < taps; ++k) {
      const double t = double(k) - double(reach_ - 1) - fraction, x = 2.0 * cutoff * t;
      if (std::fabs(t) >= width) continue;
      const double sinc = x == 0.0 ? 1.0 : std::sin(kPi * x) / (kPi * x);
      values[k] = sinc * bessel(kBeta * std::sqrt(1.0 - t * t / (width * width)));
      total += values[k];
    }
    for (size_t k = 0; k < taps; ++k) filter[k] = float(values[k] / total);  // silence and direct current stay as they are
  }
  reset();
}

void Resampler::reset() {
  samples_.assign(reach_ - 1, 0.0f);
  first_ = -int64_t(reach_ - 1);
  heard_ = made_ = 0;
}

void Resampler::accept(const float* samples, size_t count, std::vector<float>& to) {
  samples_.insert(samples_.end(), samples, samples + count);
  heard_ += count;
  // Output n needs the inputs up to n * down / up + reach.
  if (heard_ > reach_) produce(to, ((heard_ - reach_) * up_ + down_ - 1) / down_);
}

void Resampler::finish(std::vector<float>& to) {
  samples_.insert(samples_.end(), reach_ + 1, 0.0f);
  produce(to, (heard_ * up_ + down_ - 1) / down_);
}

void Resampler::produce(std::vector<float>& to, uint64_t end) {
  const size_t taps = 2 * reach_;
  for (; made_ < end; ++made_) {
    const uint64_t at = made_ * down_;
    const float* x = samples_.data() + (int64_t(at / up_) - int64_t(reach_ - 1) - first_);
    const float* filter = filters_.data() + at % up_ * taps;
    // Several sums: a compiler that may not reorder additions can use vectors all the same.
    float sums[kLanes] = {};
    for (size_t k = 0; k < taps; k += kLanes)
      for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += filter[k + lane] * x[k + lane];
    float sum = 0.0f;
    for (const float part : sums) sum += part;
    to.push_back(sum);
  }
  const int64_t needed = int64_t(made_ * down_ / up_) - int64_t(reach_ - 1);
  if (needed > first_ + 4096) {
    samples_.erase(samples_.begin(), samples_.begin() + (needed - first_));
    first_ = needed;
  }
}

}  // namespace dualmode
