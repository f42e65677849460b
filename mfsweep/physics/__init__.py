"""Whether a trained model is good physics: dynamics that last, minima, frequencies and bonds, beyond its test error."""
