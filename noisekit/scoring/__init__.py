"""Scores of pictures that are there already: a folder, the prompts that belong to it, and the table of its scores."""
