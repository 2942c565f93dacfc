"""Model versions and the champion pointer."""
