#include "audio_file.h"

#include <cstring>
#include <stdexcept>
#include <string>

namespace dualmode {
namespace {

constexpr uint32_t kUnknownLength = 0x7FFF0000;  // of programs that write into a pipe

[[noreturn]] void refuse(const std::string& what) { throw std::runtime_error(what); }

uint32_t number(const uint8_t* p, size_t bytes) {
  uint32_t value = 0;
  for (size_t i = bytes; i-- > 0;) value = value << 8 | p[i];
  return value;
}

}  // namespace

bool is_npy(const std::vector<uint8_t>& bytes) {
  return bytes.size() >= 6 && !std::memcmp(bytes.data(), "\x93NUMPY", 6);
}

std::vector<float> read_wav(const std::vector<uint8_t>& bytes) {
  const uint8_t* p = bytes.data();
  if (bytes.size() < 12 || std::memcmp(p, "RIFF", 4) || std::memcmp(p + 8, "WAVE", 4))
    refuse("it is neither a WAV file nor a NumPy array");
  uint32_t format = 0, bits = 0;
  for (size_t at = 12; bytes.size() - at >= 8;) {
    const uint8_t* chunk = p + at;
    size_t size = number(chunk + 4, 4);
    const size_t left = bytes.size() - at - 8;
    const bool data = !std::memcmp(chunk, "data", 4);
    if (data && size >= kUnknownLength) size = left;
    if (size > left) refuse("it is cut off: its last " + std::to_string(size - left) + " bytes are missing");
    if (!std::memcmp(chunk, "fmt ", 4)) {
      if (size < 16) refuse("its format is cut off");
      format = number(chunk + 8, 2);
      if (format == 0xFFFE && size >= 26) format = number(chunk + 32, 2);  // WAVE_FORMAT_EXTENSIBLE
      const uint32_t channels = number(chunk + 10, 2), rate = number(chunk + 12, 4);
      bits = number(chunk + 22, 2);
      if (channels != 1) refuse("it has " + std::to_string(channels) + " channels, expected 1");
      if (rate != 16000) refuse("it has " + std::to_string(rate) + " Hz, expected 16000 Hz");
      if (!(format == 1 && bits == 16) && !(format == 3 && bits == 32))
        refuse("its samples are neither 16-bit integers nor 32-bit floats");
    } else if (data) {
      if (!bits) refuse("its samples come before their format");
      std::vector<float> samples(size / (bits / 8));
      for (size_t i = 0; i < samples.size(); ++i) {
        if (bits == 16) {
          samples[i] = float(int16_t(number(chunk + 8 + 2 * i, 2))) / 32768.0f;
        } else {
          const uint32_t value = number(chunk + 8 + 4 * i, 4);
          std::memcpy(&samples[i], &value, 4);
        }
      }
      return samples;
    }
    const size_t step = 8 + size + size % 2;
    if (step > bytes.size() - at) break;
    at += step;
  }
  refuse("it has no samples");
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
