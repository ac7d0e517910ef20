"""People judge: pairs of images shown blind, votes kept in the store, and what they say."""
