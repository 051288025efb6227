// Kaldi's log-mel filter banks at 16 kHz: 80 bins, 25 ms every 10 ms, no dither, snip_edges false, 20 Hz to 7600 Hz,
// Povey window, pre-emphasis 0.97, mean of each frame removed, samples in [-1, 1].
//
// Frame t is centred on sample 160 t + 80; past either end the signal is mirrored (dualmode/data/fbank.py).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dualmode {

class Fbank {
 public:
  static constexpr size_t kBins = 80;

  Fbank();
  void reset();
  void accept(const float* samples, size_t count);
  // No more samples follow: the frames that mirror the end become ready.
  void finish() { finished_ = true; }
  // Frames of a whole utterance.
  static uint64_t frames(uint64_t samples) { return (samples + kShift / 2) / kShift; }
  // Writes the next frame (kBins) and returns true, if it is ready.
  bool next(float* features);

 private:
  static constexpr size_t kShift = 160, kLength = 400, kFft = 512;

  void transform();

  std::vector<float> window_;                   // (kLength)
  std::vector<double> cos_, sin_;               // (kFft / 2)
  std::vector<size_t> reversed_;                // (kFft)
  struct Filter {
    size_t first;
    std::vector<float> weights;
  };
  std::vector<Filter> filters_;

  std::vector<float> samples_;  // from sample `dropped_` on
  uint64_t dropped_ = 0, heard_ = 0, frame_ = 0;  // 32 bits of samples are 74.5 h
  bool finished_ = false;
  std::vector<double> real_, imaginary_;  // (kFft)
};

}  // namespace dualmode
