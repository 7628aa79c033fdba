"""The review desk: a page on this machine where a person settles the passages of a run."""
