"""The review page, where people label flagged and borderline images."""
