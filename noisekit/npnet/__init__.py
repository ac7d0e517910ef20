"""NPNet: a network that turns a random noise and a prompt into a golden noise. Its pairs, its training, its files."""
