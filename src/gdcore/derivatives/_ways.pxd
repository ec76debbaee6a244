# The ways back through the usual gates; _tape.pyx has their formulas.

cdef enum Way:  # back through a gate
    PULLS  # by the pulls of its row
    SAME
    NEGATIVE
    ADD
    SUBTRACT
    MULTIPLY
    DIVIDE
    POWER  # with a plain exponent
    EXP
    LOG
    SQRT
    SIN
    COS
    TANH
    SQUARE
    MATMUL  # of matrices
    INDEX
    TOTAL  # the sum of all elements
    NO_WAY  # for a gate that is not one of these
