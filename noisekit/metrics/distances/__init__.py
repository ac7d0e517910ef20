"""Distances between sets of images: how far what was generated lies from a reference, prompts unread."""
