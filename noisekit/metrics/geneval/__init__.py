"""GenEval: its rules, its namer of colours, and the metric that asks a detector; arXiv 2310.11513."""
