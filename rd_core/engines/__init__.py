"""What computes a detector: torch, a CUDA graph, OpenVINO."""
