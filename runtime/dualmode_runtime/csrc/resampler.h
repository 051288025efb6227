// Brings samples of another rate to 16 kHz, piece by piece: a sinc in a Kaiser window, one filter for each place that an
// output can have between two inputs.
//
// Flat to 7.4 kHz (of slower audio: to 92 % of half its rate); what lies above 8.6 kHz, or is mirrored above half a
// slower rate, is 90 dB down.  Output n lies at the time n / 16000 s of the input, so nothing is delayed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dualmode {

class Resampler {
 public:
  static constexpr size_t kRate = 16000;

  // Throws std::runtime_error unless rate is 4000 to 384000 Hz and has a common divisor of 25 or more with 16000.
  explicit Resampler(int64_t rate);

  size_t rate() const { return rate_; }
  void reset();
  // Appends what is ready to `to`.
  void accept(const float* samples, size_t count, std::vector<float>& to);
  // No more samples follow: appends the rest, as if zeros followed; together ceil(samples * 16000 / rate).
  void finish(std::vector<float>& to);

 private:
  void produce(std::vector<float>& to, uint64_t end);

  size_t rate_, up_, down_;      // output n lies at input n * down / up
  size_t reach_;                 // inputs on each side of an output
  std::vector<float> filters_;   // (up, 2 * reach)
  std::vector<float> samples_;   // inputs, from `first_` on; `reach` zeros come before input 0
  int64_t first_ = 0;
  uint64_t heard_ = 0, made_ = 0;
};

}  // namespace dualmode
