"""Engines that compute a detector: torch, a CUDA graph, OpenVINO."""
