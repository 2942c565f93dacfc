"""The page of the normals that a training set aside."""
