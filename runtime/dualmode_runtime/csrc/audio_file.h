// Reads what the program is given: WAV files and NumPy arrays of features.  Throws std::runtime_error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace dualmode {

bool is_npy(const std::vector<uint8_t>& bytes);

// How the samples of a WAV file lie in it: 16-bit integers or 32-bit floats.
struct WavFormat {
  size_t channels = 1, rate = 16000;
  bool floats = false;
  size_t start = 0;        // bytes before the first sample
  size_t size = SIZE_MAX;  // bytes of samples; SIZE_MAX: up to the end

  size_t frame() const { return channels * (floats ? 4 : 2); }  // bytes of a sample of all channels
};

// Reads the beginning of a WAV file; nothing if more of it is needed.
std::optional<WavFormat> read_wav_header(const uint8_t* p, size_t size);

enum : size_t { kMix = 0 };  // the mean of all channels; else a channel's number, from 1 on

// Throws if the format has no such channel, or has several and none was chosen.
void check_channel(const WavFormat& format, std::optional<size_t> channel);

// Samples in [-1, 1] of one channel, of whole frames in `bytes`.
std::vector<float> to_samples(const WavFormat& format, size_t channel, const uint8_t* bytes, size_t size);

// A C-ordered little-endian float32 array (frames, bins).
std::vector<float> read_npy(const std::vector<uint8_t>& bytes, size_t bins);

}  // namespace dualmode
