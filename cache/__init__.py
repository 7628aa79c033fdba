"""The passage cache."""
