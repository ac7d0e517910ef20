"""T2I-CompBench: how its prompts are read, what its questions and relations are worth, and the metric; arXiv 2307.06350."""
