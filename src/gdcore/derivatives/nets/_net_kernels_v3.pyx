# The kernels of nets once more, compiled for CPUs of the level x86-64-v3 (AVX2); setup.py has the flags.
include "_net_kernels.pyx"
