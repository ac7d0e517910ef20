"""What is there: a folder that keeps all that was generated and scored, one line a fact."""
