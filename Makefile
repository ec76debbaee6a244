.PHONY: build debug sanitize threads quick test compiled coverage lint format bench docs notebooks

# The tests of what is compiled: all that a build with checks can say more of.
COMPILED = tests/engine tests/derivatives tests/test_rules.py tests/test_properties.py tests/test_optimizers.py

build:
	GDCORE_BUILD=release python setup.py build_ext --inplace --force

debug:
	GDCORE_BUILD=debug python setup.py build_ext --inplace --force

# Python itself is not instrumented: the runtimes are preloaded, and what the interpreter keeps is no leak of ours.
sanitize:
	GDCORE_BUILD=sanitize python setup.py build_ext --inplace --force
	LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 python -m pytest -q $(COMPILED)

# The same of ThreadSanitizer, on what runs in threads; what it reports is not captured. It has a thread of its own,
# and does not follow a fork.
threads:
	GDCORE_BUILD=threads python setup.py build_ext --inplace --force
	LD_PRELOAD="$$(cc -print-file-name=libtsan.so)" TSAN_OPTIONS=exitcode=66 \
	python -m pytest -q -s tests/engine/test_free_threading.py tests/engine/test_threads.py tests/test_optimizers.py \
	-k "threads and not fork and not starts_threads"

quick:
	python -m pytest -q tests/test_rules.py tests/derivatives tests/training

test:
	python -m pytest -q

compiled:
	python -m pytest -q $(COMPILED)

coverage:
	python -m coverage run --source=gdcore --branch -m pytest -q
	python -m coverage report --skip-covered --show-missing --sort=cover

lint:
	ruff check .
	ruff format --check .
	cython-lint src
	mypy
	python -m mypy.stubtest gdcore._kernels \
		$(addprefix gdcore.engine._, engine exported update rows stages plan halves norm coefficients cpu pool lent) \
		$(addprefix gdcore.derivatives._, scalars tape products back traced gate usual layers ends) \
		$(addprefix gdcore.derivatives.nets._, door net_kernels) \
		--concise --allowlist tests/stubtest-allowlist.txt

format:
	ruff check --fix .
	ruff format .

bench:
	python -m pytest bench

# A page that is left from before would hide a link that is dead by now.
docs:
	rm -rf build/site docs/gallery docs/reference build/gallery
	python -m sphinx -W --keep-going -q -b html docs build/site

# Of the examples that have cells.
notebooks:
	jupytext --quiet --to ipynb --update $$(grep -l '^# %%' examples/*.py)
