"""Model versions, and the pointer to the one in force."""
