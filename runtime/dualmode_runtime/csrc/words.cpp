#include "words.h"

namespace dualmode {
namespace {

constexpr size_t kCharacters = 0, kWords = 1;  // token types

const char* mark_of(const Model& model) {
  return model.config.token_type == kCharacters ? "<space>" : "\xE2\x96\x81";
}

}  // namespace

std::string text_of(const Model& model, const int32_t* tokens, size_t count) {
  const std::string mark = mark_of(model);
  std::string joined;
  for (size_t i = 0; i < count; ++i) {
    const std::string& piece = model.tokens[size_t(tokens[i])];
    if (model.config.token_type == kWords) {
      joined += piece + ' ';
      continue;
    }
    size_t start = 0;
    for (size_t at; (at = piece.find(mark, start)) != std::string::npos; start = at + mark.size())
      joined.append(piece, start, at - start) += ' ';
    joined.append(piece, start);
  }
  std::string text;
  for (const char c : joined)
    if (c != ' ' || (!text.empty() && text.back() != ' ')) text += c;
  if (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

std::vector<std::pair<size_t, size_t>> word_spans(const Model& model, const std::vector<int32_t>& tokens) {
  std::vector<std::pair<size_t, size_t>> spans;
  const std::string mark = mark_of(model);
  const auto starts_word = [&](size_t i) {
    return model.config.token_type == kWords || !model.tokens[size_t(tokens[i])].compare(0, mark.size(), mark);
  };
  for (size_t first = 0, last; first < tokens.size(); first = last) {
    for (last = first + 1; last < tokens.size() && !starts_word(last);) ++last;
    // A space between characters is a token by itself, and belongs to no word.
    const bool space = model.config.token_type != kWords && model.tokens[size_t(tokens[first])] == mark;
    const size_t from = space && model.config.token_type == kCharacters ? first + 1 : first;
    if (last - first > size_t(space)) spans.emplace_back(from, last);
  }
  return spans;
}

}  // namespace dualmode
