# The kernels of nets once more, compiled for CPUs of the level x86-64-v4 (AVX-512); setup.py has the flags.
include "_net_kernels.pyx"
