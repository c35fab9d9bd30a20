"""numba kernels: arrays in, arrays out. Each file's header states the contract of its kernels."""
