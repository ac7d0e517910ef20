"""Noise hypernetworks: what adds to a noise in one call what a search finds in many. The networks, their training, files."""
