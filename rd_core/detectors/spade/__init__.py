"""SPADE: an image beside the normals that it is nearest to."""
