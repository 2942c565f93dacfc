"""A store held against itself, and what nobody needs in it."""
