# The kernels once more, compiled for CPUs of the level x86-64-v4 (AVX-512), with vectors of 512 bits.
include "_kernels.pyx"
