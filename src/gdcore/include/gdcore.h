/* The kernels of gdcore for C and C++. docs/kernels.md has examples; gdcore.kernels.get_include() is this folder. */

#ifndef GDCORE_H
#define GDCORE_H

#include <Python.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GDCORE_VERSION 1  /* of the structs; another one, where these are others */

/* A kernel makes one step on n elements, in place.

   x  pointers to arrays of n contiguous, aligned elements that overlap no other: x[0] the parameter, x[1] the
      gradient, x[2] to x[4] the slots in the order of docs/rules.md; NULL where the rule, as its hyperparameters are,
      has no such array. Of what is no rule some read x[5], the average of the weights, and x[6], the parameter in
      half precision where x[0] is its master
   c  the coefficients of this step, of the arrays' type

   Nothing is checked. No GIL is needed. */
typedef void (*gdcore_kernel32)(void **x, const float *c, Py_ssize_t n);
typedef void (*gdcore_kernel64)(void **x, const double *c, Py_ssize_t n);

typedef struct {
    const char *rule;
    gdcore_kernel32 float32;
    gdcore_kernel64 float64;  /* NULL: what converts half precision works in float alone */
} gdcore_kernel;

typedef struct {
    int version;  /* GDCORE_VERSION */
    int size;  /* bytes of this struct: more, where something was added behind */
    const gdcore_kernel *kernels;  /* all of them, closed by a row whose rule is NULL */

    /* The kernel of a rule, the build of it that is fastest here; NULL, with a Python exception, where there is none.
       Takes the GIL. */
    const gdcore_kernel *(*find)(const char *rule);

    /* Writes the coefficients of step t >= 1, as float where itemsize is 4 and double where it is 8, at most
       GDCORE_COEFFICIENTS of them, and returns how many; -1, with a Python exception, where something is out of range.
       hyperparameters are those of the rule's optimizer, in the order of gdcore.kernels.hyperparameters(rule): flags
       are 0 or 1, and NAN stands for None. Takes the GIL, and some microseconds. */
    int (*coefficients)(const char *rule, int itemsize, const double *hyperparameters, int64_t t, void *c);
} gdcore_table;

#define GDCORE_COEFFICIENTS 12
#define GDCORE_ARRAYS 7

/* The table, which stays where it is while Python runs; NULL, with a Python exception, where it cannot be had. */
static inline const gdcore_table *gdcore_import(void)
{
    const gdcore_table *table = (const gdcore_table *) PyCapsule_Import("gdcore.kernels.table", 0);
    if (table != NULL && table->version != GDCORE_VERSION) {
        PyErr_Format(PyExc_ImportError, "gdcore.kernels: expected a table of version %d, got %d", GDCORE_VERSION,
                     table->version);
        return NULL;
    }
    return table;
}

#ifdef __cplusplus
}
#endif

#endif
