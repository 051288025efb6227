#include "audio_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "recogniser.h"

namespace dualmode {
namespace {

constexpr uint32_t kUnknownLength = 0x7EFF0000;  // of programs that write into a pipe; containers.py has the same

[[noreturn]] void refuse(const std::string& what) { throw std::runtime_error(what); }

uint32_t number(const uint8_t* p, size_t bytes) {
  uint32_t value = 0;
  for (size_t i = bytes; i-- > 0;) value = value << 8 | p[i];
  return value;
}

bool is_name(const uint8_t* p) {
  return std::all_of(p, p + 4, [](uint8_t sign) { return sign >= ' ' && sign <= '~'; });
}

// Bytes of the frame of MPEG's layer III that begins with these 4; 0 if none does (mp3_frame of audio/compressed.py).
size_t mp3_frame(const uint8_t* p) {
  static constexpr size_t kKbit[2][15] = {{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
                                          {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}};
  static constexpr size_t kHertz[3] = {44100, 48000, 32000};
  const unsigned version = p[1] >> 3 & 3, bitrate = p[2] >> 4, rate = p[2] >> 2 & 3;  // 3 is MPEG 1, 2 is MPEG 2
  if (p[0] != 0xFF || (p[1] & 0xE6) != 0xE2 || version == 1 || !bitrate || bitrate == 15 || rate == 3) return 0;
  const bool first = version == 3;
  const size_t hertz = kHertz[rate] >> (first ? 0 : version == 2 ? 1 : 2);
  return (first ? 144 : 72) * kKbit[first][bitrate] * 1000 / hertz + (p[2] >> 1 & 1);
}

constexpr size_t kBeginning = 12;  // bytes that tell every kind but MP3 without tags
constexpr struct {
  size_t at;
  const char* begins;
  const char* kind;
} kKinds[] = {{0, "RIFX", "RIFX"},   {0, "RF64", "RF64"}, {0, "riff", "W64"},           {0, "fLaC", "FLAC"},
              {0, "OggS", "Ogg"},    {0, "ID3", "MP3"},   {0, "FORM", "AIFF"},          {0, ".snd", "AU"},
              {0, "caff", "CAF"},    {0, "NIST_1A", "NIST SPHERE"}, {0, "\x1a\x45\xdf\xa3", "Matroska or WebM"},
              {4, "ftyp", "MP4 or M4A"}, {0, "\x93NUMPY", "NumPy"}};

}  // namespace

size_t bytes_to_tell(const uint8_t* p, size_t size) {
  if (size < kBeginning) return kBeginning;
  const size_t frame = mp3_frame(p);
  return frame ? frame + 4 : kBeginning;
}

std::string other_kind(const uint8_t* p, size_t size) {
  for (const auto& [at, begins, kind] : kKinds) {
    const size_t length = std::strlen(begins);
    if (at + length <= size && !std::memcmp(p + at, begins, length)) return kind;
  }
  // One header of a frame may be chance in samples; a second one where the first says is not.
  const size_t frame = size < kBeginning ? 0 : mp3_frame(p);
  return frame && frame + 4 <= size && mp3_frame(p + frame) ? "MP3" : "";
}

bool is_npy(const std::vector<uint8_t>& bytes) {
  return bytes.size() >= 6 && !std::memcmp(bytes.data(), "\x93NUMPY", 6);
}

std::optional<WavFormat> read_wav_header(const uint8_t* p, size_t size) {
  if (size < 12) return {};
  if (std::memcmp(p, "RIFF", 4) || std::memcmp(p + 8, "WAVE", 4)) refuse("it is neither a WAV file nor a NumPy array");
  WavFormat format;
  bool known = false;
  for (size_t at = 12; size - at >= 8;) {
    const uint8_t* chunk = p + at;
    const size_t length = number(chunk + 4, 4);
    if (!std::memcmp(chunk, "data", 4)) {
      if (!known) refuse("its samples come before their format");
      format.start = at + 8;
      if (length < kUnknownLength) format.size = length;
      return format;
    }
    if (!std::memcmp(chunk, "fmt ", 4)) {
      if (length < 16) refuse("its format is cut off");
      if (length > size - at - 8) return {};
      uint32_t kind = number(chunk + 8, 2);
      if (kind == 0xFFFE && length >= 26) kind = number(chunk + 32, 2);  // WAVE_FORMAT_EXTENSIBLE
      const uint32_t bits = number(chunk + 22, 2);
      format.channels = number(chunk + 10, 2);
      format.rate = number(chunk + 12, 4);
      if (format.rate > INT32_MAX) refuse("its sample rate of " + std::to_string(format.rate) + " Hz is impossible");
      format.floats = kind == 3;
      if (!(kind == 1 && bits == 16) && !(kind == 3 && bits == 32))
        refuse("its samples are neither 16-bit integers nor 32-bit floats");
      if (!format.channels) refuse("it has 0 channels");
      known = true;
    }
    const size_t step = 8 + length + length % 2;
    if (step > size - at) return {};
    at += step;
  }
  return {};
}

void Rest::accept(const uint8_t* p, size_t size) {
  for (const uint8_t* end = p + size; p < end && !audio_;) {
    if (filling_) {
      audio_ = *p++;
    } else if (left_) {
      const auto step = size_t(std::min(left_, uint64_t(end - p)));
      p += step;
      taken_ += step;
      left_ -= step;
    } else {
      head_.push_back(*p++);
      ++taken_;
      if (odd_ && head_.size() == 5) {
        // Some programs leave out the padding.
        if (is_name(head_.data() + 1) || !is_name(head_.data())) head_.erase(head_.begin());
        odd_ = false;
      }
      if (!odd_ && head_.size() == 8) begin_chunk();
    }
  }
}

void Rest::begin_chunk() {
  known_ = taken_ - head_.size();
  filling_ = !is_name(head_.data());
  if (!std::memcmp(head_.data(), "data", 4)) {
    audio_ = number(head_.data() + 4, 4);  // more samples, which nothing would read
  } else if (filling_) {
    audio_ = std::any_of(head_.begin(), head_.end(), [](uint8_t byte) { return byte; });
  } else {
    left_ = number(head_.data() + 4, 4);
    odd_ = left_ % 2;
  }
  head_.clear();
}

void check_channel(const WavFormat& format, std::optional<size_t> channel) {
  if (format.channels > 1 && !channel)
    refuse("it has " + std::to_string(format.channels) + " channels: choose one with --channel, or --channel mix");
  if (channel && *channel > format.channels)
    refuse("it has no channel " + std::to_string(*channel) + ", only " + std::to_string(format.channels));
}

std::vector<float> to_samples(const WavFormat& format, size_t channel, const uint8_t* bytes, size_t size) {
  const auto sample = [&](size_t i) {
    const uint8_t* p = bytes + i * (format.floats ? 4 : 2);
    if (!format.floats) return float(int16_t(number(p, 2))) / 32768.0f;
    const uint32_t bits = number(p, 4);
    float value;
    std::memcpy(&value, &bits, 4);
    if (!(std::fabs(value) <= kLoudest)) refuse("its samples are not finite, or far outside of [-1, 1]");
    return value;
  };
  std::vector<float> samples(size / format.frame());
  for (size_t i = 0; i < samples.size(); ++i) {
    if (channel != kMix) {
      samples[i] = sample(i * format.channels + channel - 1);
      continue;
    }
    float sum = 0.0f;
    for (size_t c = 0; c < format.channels; ++c) sum += sample(i * format.channels + c);
    samples[i] = sum / float(format.channels);
  }
  return samples;
}

std::vector<float> read_npy(const std::vector<uint8_t>& bytes, size_t bins) {
  if (bytes.size() < 10 || bytes[6] != 1) refuse("it is no NumPy array of version 1");
  const size_t header = 10 + number(bytes.data() + 8, 2);
  if (header > bytes.size()) refuse("its header is cut off");
  const std::string text(bytes.begin() + 10, bytes.begin() + std::ptrdiff_t(header));
  if (text.find("'descr': '<f4'") == std::string::npos || text.find("'fortran_order': False") == std::string::npos)
    refuse("its numbers are not little-endian float32 in C order");
  const size_t size = bytes.size() - header, row = bins * sizeof(float);
  const std::string shape = "'shape': (" + std::to_string(size / row) + ", " + std::to_string(bins) + ")";
  if (size % row || text.find(shape) == std::string::npos)
    refuse("its shape is not (frames, " + std::to_string(bins) + "), or it is cut off");
  std::vector<float> values(size / sizeof(float));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint32_t bits = number(bytes.data() + header + 4 * i, 4);
    std::memcpy(&values[i], &bits, 4);
  }
  return values;
}

}  // namespace dualmode
