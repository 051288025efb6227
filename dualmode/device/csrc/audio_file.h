// Reads what the program is given: WAV files and NumPy arrays of features.  Throws std::runtime_error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dualmode {

bool is_npy(const std::vector<uint8_t>& bytes);

// Samples in [-1, 1] of a mono WAV file at 16 kHz with 16-bit integers or 32-bit floats.
std::vector<float> read_wav(const std::vector<uint8_t>& bytes);

// A C-ordered little-endian float32 array (frames, bins).
std::vector<float> read_npy(const std::vector<uint8_t>& bytes, size_t bins);

}  // namespace dualmode
