"""Training on what was saved, scores, and which study next."""
