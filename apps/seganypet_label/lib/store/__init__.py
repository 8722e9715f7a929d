"""What is kept: studies, labels, the archive, and the masks shown last."""
