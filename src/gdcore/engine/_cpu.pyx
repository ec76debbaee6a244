"""Which level of x86-64 this CPU and its operating system support."""

cdef extern from *:
    """
    #if defined(__x86_64__) || defined(_M_X64)
    #if defined(_MSC_VER)
    #include <intrin.h>
    static void gd_cpuid(int leaf, int subleaf, unsigned r[4]) { __cpuidex((int *) r, leaf, subleaf); }
    static unsigned gd_xcr0(void) { return (unsigned) _xgetbv(0); }
    #else
    #include <cpuid.h>
    static void gd_cpuid(int leaf, int subleaf, unsigned r[4]) {
        __cpuid_count(leaf, subleaf, r[0], r[1], r[2], r[3]);
    }
    static unsigned gd_xcr0(void) {
        unsigned low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        return low;
    }
    #endif
    /* The levels are those of the x86-64 psABI; the bits those of Intel's manual, volume 2A, CPUID. */
    static int gd_x86_64_level(void) {
        unsigned r[4], max_leaf, max_extended;
        /* FMA, MOVBE, OSXSAVE, AVX, F16C; BMI1, AVX2, BMI2; AVX-512 F, DQ, CD, BW, VL */
        const unsigned leaf1_c = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29;
        const unsigned leaf7_b = 1u << 3 | 1u << 5 | 1u << 8;
        const unsigned v4_b = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
        gd_cpuid(0, 0, r);
        max_leaf = r[0];
        gd_cpuid((int) 0x80000000, 0, r);
        max_extended = r[0];
        if (max_leaf < 7 || max_extended < 0x80000001u) return 1;
        gd_cpuid(1, 0, r);
        if ((r[2] & leaf1_c) != leaf1_c || (gd_xcr0() & 0x06) != 0x06) return 1; /* the system saves ymm */
        gd_cpuid((int) 0x80000001, 0, r);
        if (!(r[2] & 1u << 5)) return 1; /* LZCNT */
        gd_cpuid(7, 0, r);
        if ((r[1] & leaf7_b) != leaf7_b) return 1;
        if ((r[1] & v4_b) != v4_b || (gd_xcr0() & 0xe6) != 0xe6) return 3; /* the system saves zmm */
        return 4;
    }
    #else
    static int gd_x86_64_level(void) { return 0; }
    #endif
    """
    int gd_x86_64_level() nogil


def x86_64_level():
    """Return 4, 3 or 1 (v2 is not told apart), and 0 on another architecture."""
    return gd_x86_64_level()
