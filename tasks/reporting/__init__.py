"""What reports share: their pictures, their links, and results kept while nothing changed. No tasks."""
