"""Smaller and faster variants of the trained model's graph."""
