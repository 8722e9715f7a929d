"""What clients see: routes, pages, answers, and who asks."""
