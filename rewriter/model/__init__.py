"""Ask a model: which one, through which endpoint, how often to try, and what of the answer is the rewrite."""
