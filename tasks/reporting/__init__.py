"""Common parts of reports: pictures, links, and results kept while nothing changed. No tasks."""
