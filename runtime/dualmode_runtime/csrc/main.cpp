// dualmode-device: recognises WAV files, features, or what comes on standard input, with a device model.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include <unistd.h>

#include "audio_file.h"
#include "device.h"
#include "kernels.h"
#include "model.h"
#include "utf8.h"

namespace {

constexpr char kUsage[] =
    "usage: dualmode-device [OPTION...] MODEL FILE...\n"
    "\n"
    "Recognises each FILE with the device model MODEL and prints \"FILE TEXT\", one line a file.\n"
    "\n"
    "  FILE             WAV (16-bit integers or 32-bit floats; what is not 16 kHz is resampled), a NumPy array of fbank\n"
    "                   features (.npy, float32, frames of 10 ms x bins), or - for standard input: WAV, or raw 16-bit\n"
    "                   little-endian mono samples.  Standard input is recognised while it comes, one line an utterance;\n"
    "                   an utterance ends with a second of silence, or after 30 s\n"
    "  --words          print a line a word instead, \"FILE START_MS END_MS WORD\", as soon as it cannot change any more\n"
    "  --channel N      of audio with several channels, the one to recognise, from 1 on; mix: the mean of all\n"
    "  --rate HZ        sample rate of raw samples on standard input (default: 16000)\n"
    "  --kernels NAME   avx512vnni, avx2, dotprod or portable (default: the best that this machine has)\n"
    "  --help           this text\n";

constexpr dualmode_endpointing kEndpointing = {1000, 5000, 30000};

struct Options {
  const char* kernels = nullptr;
  std::optional<size_t> channel;
  int32_t rate = 16000;
  bool words = false;
};

struct Free {
  void operator()(dualmode_device* device) const { dualmode_free(device); }
};
using Device = std::unique_ptr<dualmode_device, Free>;

void check(int status, const char* error) {
  if (status) throw std::runtime_error(error);
}

// What was heard cannot be told: there is nothing left to do.
struct Unwritten : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A text of others on one line, with what would drive a terminal as JSON writes it, and bytes that are not UTF-8 as Python
// does.
std::string shown(const std::string& text) {
  std::string line;
  for (size_t i = 0, bytes; i < text.size(); i += bytes) {
    const dualmode::Sign sign = dualmode::first_sign(text.data() + i, text.size() - i);
    bytes = std::max(sign.bytes, size_t(1));
    if (sign.bytes && !dualmode::is_control(sign.code)) {
      line.append(text, i, bytes);
      continue;
    }
    char code[16];
    std::snprintf(code, sizeof code, "\\u%04x", unsigned(sign.bytes ? sign.code : 0xDC00u + uint8_t(text[i])));
    line += code;
  }
  return line;
}

void complain(const std::string& what) { std::fprintf(stderr, "error: %s\n", shown(what).c_str()); }

void flush() {
  if (std::fflush(stdout) || std::ferror(stdout))
    throw Unwritten(std::string("standard output cannot be written: ") + std::strerror(errno));
}

// Recognises one FILE and prints what was heard.
class Hearing {
 public:
  Hearing(dualmode_device* device, const Options& options, const char* name)
      : device_(device), options_(options), name_(name), shown_(shown(name)) {}

  void file() {
    const std::vector<uint8_t> bytes = dualmode::read_file(name_);
    begin(nullptr);
    if (dualmode::is_npy(bytes)) {
      const auto bins = size_t(dualmode_get_info(device_).bins);
      const std::vector<float> features = dualmode::read_npy(bytes, bins);
      check(dualmode_accept_features(device_, features.data(), features.size() / bins, error_, sizeof error_), error_);
    } else {
      const auto format = dualmode::read_wav_header(bytes.data(), bytes.size());
      if (!format) throw std::runtime_error(bytes.size() < 12 ? "it is neither a WAV file nor a NumPy array"
                                                              : "it is cut off before its samples");
      open(*format);
      const size_t left = bytes.size() - format->start;
      if (format->size != SIZE_MAX && format->size > left)
        throw std::runtime_error("it is cut off: its last " + std::to_string(format->size - left) +
                                 " bytes are missing");
      const uint8_t* samples = bytes.data() + format->start;
      const size_t size = std::min(format->size, left);
      dualmode::Rest rest(size);
      rest.accept(samples + size, left - size);
      if (rest.is_audio_if_ended())
        throw std::runtime_error("it has " + std::to_string(left - size - rest.known()) +
                                 " bytes behind the end that its header states: write the file anew");
      hear(*format, samples, size);
    }
    finish(true);
  }

  void standard_input() {
    begin(&kEndpointing);
    std::vector<uint8_t> bytes;
    std::optional<dualmode::WavFormat> format;
    std::optional<dualmode::Rest> rest;
    for (bool ended = false; !ended;) {
      ended = !read_piece(bytes);
      if (!format) {
        format = input_format(bytes, ended);
        if (!format) continue;
        open(*format);
        rest.emplace(format->size);
        bytes.erase(bytes.begin(), bytes.begin() + std::ptrdiff_t(format->start));
      }
      const size_t whole = std::min(bytes.size() / format->frame() * format->frame(), format->size);
      hear(*format, bytes.data(), whole);
      bytes.erase(bytes.begin(), bytes.begin() + std::ptrdiff_t(whole));
      if (format->size != SIZE_MAX && !(format->size -= whole)) break;
    }
    if (!format) throw std::runtime_error("it has no samples");
    finish(!said_);
    if (format->size != SIZE_MAX) format->size -= std::min(bytes.size(), format->size);  // a part of a sample
    if (format->size != SIZE_MAX && format->size)
      throw std::runtime_error("it is cut off: its last " + std::to_string(format->size) + " bytes are missing");
    if (!format->size) check_rest(*rest, bytes);
  }

 private:
  // Adds at most 100 ms of standard input, as soon as any is there; false at its end.
  static bool read_piece(std::vector<uint8_t>& bytes) {
    uint8_t piece[3200];
    ssize_t count;
    do count = ::read(STDIN_FILENO, piece, sizeof piece);
    while (count < 0 && errno == EINTR);
    if (count < 0) throw std::runtime_error(std::string("it cannot be read: ") + std::strerror(errno));
    bytes.insert(bytes.end(), piece, piece + count);
    return count;
  }

  // How the samples of standard input lie in it; nothing if more of it is needed.
  std::optional<dualmode::WavFormat> input_format(const std::vector<uint8_t>& bytes, bool ended) const {
    if (bytes.size() < dualmode::bytes_to_tell(bytes.data(), bytes.size()) && !ended) return {};
    if (bytes.size() >= 4 && !std::memcmp(bytes.data(), "RIFF", 4))
      return dualmode::read_wav_header(bytes.data(), bytes.size());
    if (const std::string kind = dualmode::other_kind(bytes.data(), bytes.size()); !kind.empty())
      throw std::runtime_error("it is a file of the kind " + kind +
                               ": send WAV, or 16-bit mono samples, as ffmpeg -i FILE -f s16le -ac 1 -ar 16000 - does");
    if (bytes.empty()) return {};
    dualmode::WavFormat raw;
    raw.rate = size_t(options_.rate);
    return raw;
  }

  // Reads on behind the samples of standard input, of which `bytes` have come already.
  void check_rest(dualmode::Rest& rest, const std::vector<uint8_t>& bytes) {
    rest.accept(bytes.data(), bytes.size());
    for (std::vector<uint8_t> piece; !rest.is_audio() && read_piece(piece); piece.clear())
      rest.accept(piece.data(), piece.size());
    if (rest.is_audio_if_ended())
      throw std::runtime_error(
          "it has audio behind the end that its header states: send raw samples, or state no length");
  }

  void begin(const dualmode_endpointing* rules) {
    dualmode_reset(device_);
    check(dualmode_set_endpointing(device_, rules, error_, sizeof error_), error_);
  }

  void open(const dualmode::WavFormat& format) {
    dualmode::check_channel(format, options_.channel);
    check(dualmode_set_rate(device_, int32_t(format.rate), error_, sizeof error_), error_);
    if (format.rate != 16000)
      std::fprintf(stderr, "%s: audio of %zu Hz is resampled to 16000 Hz%s\n", shown_.c_str(), format.rate,
                   format.rate < 16000 ? "; it lacks the high tones that the model knows, and will be heard worse" : "");
  }

  void hear(const dualmode::WavFormat& format, const uint8_t* bytes, size_t size) {
    const auto samples = dualmode::to_samples(format, options_.channel.value_or(1), bytes, size);
    check(dualmode_accept_samples(device_, samples.data(), samples.size(), error_, sizeof error_), error_);
    while (const int why = dualmode_endpoint(device_)) {
      if (why != DUALMODE_NOTHING_SAID) print(false);
      check(dualmode_next_utterance(device_, error_, sizeof error_), error_);
      printed_ = 0;
    }
    if (options_.words) print_words();
  }

  void finish(bool even_empty) {
    check(dualmode_finish(device_, error_, sizeof error_), error_);
    print(even_empty);
  }

  void print(bool even_empty) {
    const char* text = dualmode_text(device_);
    said_ = said_ || *text;
    if (options_.words)
      print_words();
    else if (*text || even_empty)
      std::printf("%s %s\n", shown_.c_str(), text);
    flush();
  }

  void print_words() {
    const dualmode_word* words;
    for (const size_t count = dualmode_words(device_, &words); printed_ < count && words[printed_].stable_ms >= 0;
         ++printed_)
      std::printf("%s %.0f %.0f %s\n", shown_.c_str(), words[printed_].start_ms, words[printed_].end_ms,
                  words[printed_].text);
    flush();
  }

  dualmode_device* device_;
  const Options& options_;
  const char* name_;
  const std::string shown_;
  size_t printed_ = 0;  // words of the utterance
  bool said_ = false;   // whether any utterance had words
  char error_[512] = {};
};

// A whole number from 1 to 2**31 - 1; 0 if it is none.
int32_t positive(const char* text) {
  char* end;
  errno = 0;
  const long value = std::strtol(text, &end, 10);
  return *text && !*end && !errno && value > 0 && value <= INT32_MAX ? int32_t(value) : 0;
}

// Reads the options; returns the first word behind them.  Throws std::invalid_argument if they are wrong.
int read_options(int count, char** words, Options& options) {
  int next = 1;
  for (; next < count && words[next][0] == '-' && words[next][1]; ++next) {
    const std::string name = words[next];
    if (name == "--words") {
      options.words = true;
      continue;
    }
    if (name != "--kernels" && name != "--rate" && name != "--channel")
      throw std::invalid_argument("there is no option " + name);
    if (next + 1 == count) throw std::invalid_argument(name + " lacks its value");
    const char* value = words[++next];
    if (name == "--kernels") {
      if (!dualmode::find_kernels(options.kernels = value))
        throw std::invalid_argument("--kernels: this machine has no kernels called " + std::string(value));
    } else if (name == "--rate") {
      if (!(options.rate = positive(value)))
        throw std::invalid_argument("--rate " + std::string(value) + ": it must be a sample rate in Hz, such as 16000");
    } else {
      options.channel = !std::strcmp(value, "mix") ? size_t(dualmode::kMix) : size_t(positive(value));
      if (options.channel == size_t(dualmode::kMix) && std::strcmp(value, "mix"))
        throw std::invalid_argument("--channel " + std::string(value) + ": it must be a number from 1 on, or mix");
    }
  }
  if (count == next) throw std::invalid_argument("there is no MODEL");
  if (count == next + 1) throw std::invalid_argument("there is no FILE behind MODEL");
  return next;
}

}  // namespace

int main(int count, char** words) {
  if (count > 1 && !std::strcmp(words[1], "--help")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  Options options;
  int next = 0;
  try {
    next = read_options(count, words, options);
  } catch (const std::invalid_argument& problem) {
    complain(std::string(problem.what()) + " (dualmode-device --help)");
    return 2;
  }
  char error[512] = {};
  const Device device(dualmode_open(words[next], options.kernels, error, sizeof error));
  if (!device) {
    complain(error);
    return 2;
  }
  int status = 0;
  for (++next; next < count; ++next) {
    try {
      Hearing hearing(device.get(), options, words[next]);
      if (!std::strcmp(words[next], "-"))
        hearing.standard_input();
      else
        hearing.file();
    } catch (const Unwritten& problem) {
      complain(problem.what());
      return 2;
    } catch (const std::exception& problem) {
      complain(std::string(words[next]) + ": " + problem.what());
      status = 2;
    }
  }
  return status;
}
