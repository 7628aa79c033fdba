"""What people look at: a source and its rewrite side by side, with what the checker saw."""
