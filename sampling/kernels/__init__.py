"""numba kernels: arrays in, arrays out. Each file header states the contract of its kernels."""
