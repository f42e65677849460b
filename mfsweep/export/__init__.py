"""Models leave: a trained stage becomes a file that other programs load, with its passport in it and beside it."""
