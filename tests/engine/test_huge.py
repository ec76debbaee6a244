"""Arrays whose element count needs more than 32 bits. Run with ``pytest -m huge`` on 12 GB of free memory."""

import numpy as np
import pytest

import gdcore as gd

N = 2**31 + 70


@pytest.mark.huge
@pytest.mark.parametrize("contiguous", [True, False])
def test_step_reaches_beyond_2_to_the_31_elements(contiguous):
    # The bytes of the gradient repeat, so that it needs no memory of its own.
    w = np.zeros(N, np.float32) if contiguous else np.zeros((N, 1), np.float32)[::-1]
    gd.SGD(w, lr=0.5).step(np.broadcast_to(np.float32(1), w.shape))
    for part in (slice(0, 70), slice(2**31 - 70, 2**31 + 70), slice(N // 2, N // 2 + 70), slice(-70, None)):
        np.testing.assert_array_equal(w[part], -0.5)
    assert np.count_nonzero(w) == N
    gd.updates.decay(w, lr=0.5, weight_decay=1.0)
    assert np.count_nonzero(w == -0.25) == N
