"""Vision-language models as judges: how likely an answer is to begin with a word, and the benchmarks that ask them."""
