"""The kernels of nets."""
