"""transcript-rewriter."""
