"""Serving pages to this machine alone, or with a token in the link to a network, as the voting page and the app do."""
