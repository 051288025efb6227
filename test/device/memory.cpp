// Lets memory run out at each allocation of functions that tell no errors, and looks at what they return:
//   memory MODEL FEATURES
//
// MODEL is a device file, FEATURES raw float32 frames of 80 bins in which words are heard.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <new>
#include <string>
#include <vector>

#include "device.h"

namespace {

long left = -1;  // allocations that succeed; below 0: all
bool ran_out = false;

void count_down() {
  if (left == 0) {
    ran_out = true;
    throw std::bad_alloc();
  }
  if (left > 0) --left;
}

// `work` returns whether it told that memory ran out.
template <class Work>
bool try_all(const char* name, const Work& work) {
  for (long count = 0;; ++count) {
    left = count;
    ran_out = false;
    const bool told = work();
    left = -1;
    if (told != ran_out) return std::printf("%s: wrong at allocation %ld\n", name, count), false;
    if (!ran_out) return std::printf("%s: %s\n", name, count ? "well" : "without allocations"), count > 0;
  }
}

}  // namespace

void* operator new(size_t size) {
  count_down();
  return std::malloc(size);
}
void* operator new(size_t size, std::align_val_t bytes) {
  count_down();
  return std::aligned_alloc(size_t(bytes), size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

int main(int count, char** words) {
  if (count != 3) return 2;
  char error[256];
  dualmode_device* device = dualmode_open(words[1], nullptr, error, sizeof error);
  if (!device) return std::fprintf(stderr, "%s\n", error), 2;
  std::ifstream file(words[2], std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<float> features(bytes.size() / sizeof(float)), written(300 * 80);
  std::memcpy(features.data(), bytes.data(), features.size() * sizeof(float));
  dualmode_accept_features(device, features.data(), features.size() / 80, error, sizeof error);
  dualmode_finish(device, error, sizeof error);
  const dualmode_word* first;
  const std::string text = dualmode_text(device);
  const size_t all = dualmode_words(device, &first);
  const std::vector<float> samples(48000);
  const auto say = [&] {
    const char* said = dualmode_text(device);
    return text != said && !*said;
  };
  const auto list = [&] {
    const size_t listed = dualmode_words(device, &first);
    return listed != all && !listed && !first;
  };
  const auto fbank = [&] { return !dualmode_fbank(samples.data(), samples.size(), written.data(), 300); };
  const bool well = try_all("text", say) & try_all("words", list) & try_all("fbank", fbank);
  dualmode_free(device);
  return well && all ? 0 : 1;
}
