"""Click protocols, metrics, pictures and reports."""
