"""What is checked and refused before anything is started."""
