"""Structures and their labels: read, split by formula, referenced to energy offsets, packed, drawn. No torch."""
