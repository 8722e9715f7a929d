"""Data lists with annotation quality, phantoms, and the one preprocessing."""
