"""Golden seeds: seeds ranked by what their noises made of calibration prompts, and the method that starts from the best."""
