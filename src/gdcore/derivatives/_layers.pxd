# The ways of layers of nets.

from ._tape cimport Node, Tape
from ._traced cimport Traced

cdef object with_row(Traced x, Traced y, Tape tape, Node node)
