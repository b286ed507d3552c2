"""Watches production: a verdict on the newest predictions, and at most one retraining for each time of drift."""
