// From tokens to text and words: what Tokenizer.decode (dualmode/data/tokens.py) and dualmode/search/words.py make of
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model.h"

namespace dualmode {

// The text of tokens.
std::string text_of(const Model& model, const int32_t* tokens, size_t count);

// The (first, last + 1) tokens of each word.  Nothing can be added to a word once the token behind it is there.
std::vector<std::pair<size_t, size_t>> word_spans(const Model& model, const std::vector<int32_t>& tokens);

}  // namespace dualmode
