// dualmode-device: recognises WAV files, or features, with a device model.
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "audio_file.h"
#include "device.h"
#include "model.h"

namespace {

constexpr char kUsage[] =
    "usage: dualmode-device [--kernels NAME] MODEL FILE...\n"
    "\n"
    "Recognises each FILE with the device model MODEL and prints \"FILE TEXT\", one line a file.\n"
    "\n"
    "  FILE             WAV (mono, 16 kHz, 16-bit integers or 32-bit floats), or a NumPy array of fbank features\n"
    "                   (.npy, float32, frames of 10 ms x bins)\n"
    "  --kernels NAME   avx512vnni, avx2, dotprod or portable (default: the best that this machine has)\n"
    "  --help           this text\n";

struct Free {
  void operator()(dualmode_device* device) const { dualmode_free(device); }
};

void recognise(dualmode_device* device, const char* path) {
  char error[512] = {};
  const std::vector<uint8_t> bytes = dualmode::read_file(path);
  dualmode_reset(device);
  int status;
  if (dualmode::is_npy(bytes)) {
    const auto bins = size_t(dualmode_get_info(device).bins);
    const std::vector<float> features = dualmode::read_npy(bytes, bins);
    status = dualmode_accept_features(device, features.data(), features.size() / bins, error, sizeof error);
  } else {
    const std::vector<float> samples = dualmode::read_wav(bytes);
    status = dualmode_accept_samples(device, samples.data(), samples.size(), error, sizeof error);
  }
  if (status || dualmode_finish(device, error, sizeof error)) throw std::runtime_error(error);
  std::printf("%s %s\n", path, dualmode_text(device));
}

}  // namespace

int main(int count, char** words) {
  int next = 1;
  const char* kernels = nullptr;
  if (next < count && !std::strcmp(words[next], "--help")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (next + 1 < count && !std::strcmp(words[next], "--kernels")) {
    kernels = words[next + 1];
    next += 2;
  }
  if (count - next < 2 || words[next][0] == '-') {
    std::fputs(kUsage, stderr);
    return 2;
  }
  char error[512] = {};
  const std::unique_ptr<dualmode_device, Free> device(dualmode_open(words[next], kernels, error, sizeof error));
  if (!device) {
    std::fprintf(stderr, "error: %s\n", error);
    return 2;
  }
  int status = 0;
  for (++next; next < count; ++next) {
    try {
      recognise(device.get(), words[next]);
    } catch (const std::exception& problem) {
      std::fprintf(stderr, "error: %s: %s\n", words[next], problem.what());
      status = 2;
    }
  }
  return status;
}
