"""Images as arrays: brought to size, described, compared, and marred on purpose."""
