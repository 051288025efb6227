// Opens many damaged copies of device files and runs those that open: fuzz COUNT MODEL...
//
// Half of the copies get their checksums repaired, so that the damage reaches what is behind them.  Built with
// sanitizers, any read out of bounds ends the program.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "crc32.h"
#include "device.h"
#include "model.h"

namespace {

struct Random {
  uint64_t state;
  uint64_t operator()(uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? state % below : 0;
  }
};

uint32_t get(const uint8_t* p) {
  uint32_t value;
  std::memcpy(&value, p, 4);
  return value;
}
uint64_t get64(const uint8_t* p) {
  uint64_t value;
  std::memcpy(&value, p, 8);
  return value;
}
void put(uint8_t* p, uint32_t value) { std::memcpy(p, &value, 4); }

using Bytes = std::vector<uint8_t>;

void damage(Bytes& file, Random& random) {
  static const uint32_t odd[] = {0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 64, 127, 255, 65535, 65536, 1u << 20, 1u << 31, ~0u};
  for (uint64_t times = 1 + random(3); times && file.size() > 16; --times) {
    const uint64_t header = std::min<uint64_t>(get(file.data() + 12), file.size());
    const uint64_t at = header && random(3) ? random(header) : random(file.size());
    switch (random(6)) {
      case 0: file[at] ^= uint8_t(1u << random(8)); break;
      case 1: file[at] = uint8_t(random(256)); break;
      case 2: file.resize(at); break;
      case 3: file.insert(file.begin() + int64_t(at), random(100), uint8_t(random(256))); break;
      case 4:
        if (at / 4 * 4 + 4 <= file.size()) put(file.data() + at / 4 * 4, odd[random(sizeof odd / sizeof *odd)]);
        break;
      default:
        if (uint8_t* word = file.data() + at / 4 * 4; at / 4 * 4 + 4 <= file.size())
          put(word, get(word) + uint32_t(random(5)) - 2);
    }
  }
}

void repair(Bytes& file) {
  if (file.size() < 128) return;
  const uint64_t size = file.size(), header = get(file.data() + 12);
  std::memcpy(file.data() + 16, &size, 8);
  if (header < 128 || header > size) return;
  for (uint64_t at = 128; at + 80 <= header; at += 80) {
    const uint64_t offset = get64(file.data() + at + 64), length = get64(file.data() + at + 72);
    if (offset <= size && length <= size - offset)
      put(file.data() + at + 60, dualmode::crc32(file.data() + offset, length));
  }
  put(file.data() + 28, 0);
  put(file.data() + 28, dualmode::crc32(file.data(), header));
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) return 2;
  std::vector<Bytes> models;
  for (int i = 2; i < count; ++i) models.push_back(dualmode::read_file(words[i]));
  Random random{88172645463325252ull};
  long opened = 0, refused = 0;
  for (long i = std::atol(words[1]); i > 0; --i) {
    Bytes file = models[random(models.size())];
    damage(file, random);
    if (random(2)) repair(file);
    char error[512] = {};
    const char* kernels = i % 2 ? nullptr : "portable";
    dualmode_device* device = dualmode_open_memory(file.data(), file.size(), kernels, error, sizeof error);
    if (!device) {
      ++refused;
      if (!error[0] || std::strchr(error, '\n')) return 3;
      continue;
    }
    if (++opened % 8 == 0) {
      const dualmode_info info = dualmode_get_info(device);
      const size_t frames = std::min(4 * size_t(info.chunk) + 12, size_t(100));
      const std::vector<float> features(frames * size_t(info.bins), 1.0f);
      const dualmode_endpointing rules = {80, 120, 200};
      dualmode_set_endpointing(device, &rules, error, sizeof error);
      dualmode_accept_features(device, features.data(), frames, error, sizeof error);
      const dualmode_word* words;
      for (; dualmode_endpoint(device); dualmode_next_utterance(device, error, sizeof error))
        dualmode_words(device, &words);
      dualmode_finish(device, error, sizeof error);
      dualmode_words(device, &words);
      dualmode_text(device);
    }
    dualmode_free(device);
  }
  std::printf("%ld refused, %ld opened\n", refused, opened);
  return refused && opened ? 0 : 4;
}
