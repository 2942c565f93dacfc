"""Focus Your Distribution (Zheng et al., ICME 2022): a backbone that aligns normals, and Gaussians."""
