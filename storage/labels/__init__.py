"""What people say of images: kept, brought in, and held against the images there are."""
