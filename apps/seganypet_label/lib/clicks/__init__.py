"""A click: its request, its study, the weights that answer it."""
