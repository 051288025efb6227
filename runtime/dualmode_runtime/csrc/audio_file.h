// Reads what the program is given: WAV files and NumPy arrays of features.  Throws std::runtime_error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
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

// What lies behind the samples of a WAV file: whole chunks, or zeros that fill it up.  All else is audio that its header
// does not count (_Chunks of dualmode_runtime/audio/containers.py).
class Rest {
 public:
  explicit Rest(size_t samples) : odd_(samples % 2) {}
  void accept(const uint8_t* p, size_t size);
  bool is_audio() const { return audio_; }
  bool is_audio_if_ended() const { return audio_ || left_; }  // then a chunk that is not whole is none
  uint64_t known() const { return known_; }                    // bytes of whole chunks before the audio

 private:
  void begin_chunk();

  bool odd_;                             // whether a byte of padding may come
  std::vector<uint8_t> head_;            // name and length of the next chunk, as far as they have come
  uint64_t left_ = 0;                    // bytes of the chunk that are to come
  bool filling_ = false, audio_ = false;
  uint64_t taken_ = 0, known_ = 0;
};

// What kind of file that is no WAV begins here, such as "FLAC", or "": samples without a header, or too few bytes to tell
// (audio/kinds.py).
std::string other_kind(const uint8_t* p, size_t size);
// How many bytes other_kind() needs of what begins so.
size_t bytes_to_tell(const uint8_t* p, size_t size);

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
