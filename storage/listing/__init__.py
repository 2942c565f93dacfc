"""What lies below a folder, and what of it is no image of the line."""
