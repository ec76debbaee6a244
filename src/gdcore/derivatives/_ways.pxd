# The ways back through the usual gates; _back.pyx has their formulas.

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
    ACTIVATE  # an activation of a net
    SCALE  # by a scalar, whose slope was made with it
    NO_WAY  # for a gate that is not one of these
