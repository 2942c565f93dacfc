"""The frozen backbone, its weights and its features."""
