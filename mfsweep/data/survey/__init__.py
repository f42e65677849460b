"""A look at the structures and labels of a file: what there is, how it is shared out, what looks wrong. No training."""
