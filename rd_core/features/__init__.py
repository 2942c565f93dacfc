"""The frozen backbone, its weights, and what it gives of images."""
