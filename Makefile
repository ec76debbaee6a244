.PHONY: build debug sanitize test lint bench

build:
	GDCORE_BUILD=release python setup.py build_ext --inplace --force

debug:
	GDCORE_BUILD=debug python setup.py build_ext --inplace --force

# Python itself is not instrumented: the runtimes are preloaded, and what the interpreter keeps is no leak of ours.
sanitize:
	GDCORE_BUILD=sanitize python setup.py build_ext --inplace --force
	LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 python -m pytest

test:
	python -m pytest

lint:
	ruff check .
	ruff format --check .
	cython-lint src
	mypy
	python -m mypy.stubtest gdcore._kernels $(addprefix gdcore.engine._, engine update rows stages plan norm coefficients cpu pool) \
		--concise --allowlist tests/stubtest-allowlist.txt

bench:
	python -m pytest bench
