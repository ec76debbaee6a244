"""Programs of complex numbers, as one would first write them: they agree with finite differences and converge."""

import numpy as np

import gdcore as gd

# A circuit of three qubits that looks for the ground state of a chain of spins in a field.

X, Z = np.array([[0, 1], [1, 0]]), np.array([[1, 0], [0, -1]])


def ry(angle):
    c, s = np.cos(angle / 2), np.sin(angle / 2)
    return np.array([[c, -s], [s, c]])


def rx(angle):
    return np.cos(angle / 2) * np.eye(2) - 1j * np.sin(angle / 2) * X


def rz(angle):
    return np.array([[np.exp(-0.5j * angle), 0], [0, np.exp(0.5j * angle)]])


def on(gate, qubit):
    parts = [np.eye(2)] * 3
    parts[qubit] = gate
    return np.kron(np.kron(parts[0], parts[1]), parts[2])


def controlled_not(control, target):
    kept, flipped = np.diag([1, 0]), np.diag([0, 1])
    return on(kept, control) + on(flipped, control) @ on(X, target)


def energy_of_chain():
    bonds = sum(on(Z, i) @ on(Z, i + 1) for i in range(2))
    return -bonds - 0.7 * sum(on(X, i) for i in range(3))


def prepared(angles):
    state = np.zeros(8, complex)
    state[0] = 1
    for layer in angles:
        for qubit in range(3):
            state = on(rz(layer[qubit, 1]) @ ry(layer[qubit, 0]), qubit) @ state
            state = on(rx(layer[qubit, 2]), qubit) @ state
        state = controlled_not(1, 2) @ (controlled_not(0, 1) @ state)
    return state


def energy(angles):
    state = prepared(angles)
    return np.real(np.vdot(state, energy_of_chain() @ state))


def test_a_circuit_of_three_qubits():
    angles = np.random.default_rng(0).uniform(-1, 1, (1, 3, 3))
    gd.check_grads(energy, angles, order=1)
    opt, ground = gd.Adam(angles, lr=0.4, betas=(0.8, 0.99)), np.linalg.eigvalsh(energy_of_chain())[0]
    for _ in range(16):
        opt.step(gd.grad(energy)(angles))
    assert ground <= energy(angles) < 0.97 * ground


def test_the_angles_have_the_gradient_of_the_parameter_shift_rule():
    angles = np.random.default_rng(1).uniform(-1, 1, (2, 3, 3))
    grad = gd.grad(energy)(angles)
    for at in ((0, 0, 0), (0, 2, 1), (1, 1, 2)):
        shift = np.zeros_like(angles)
        shift[at] = np.pi / 2
        assert np.isclose(grad[at], (energy(angles + shift) - energy(angles - shift)) / 2)


# What light looks like behind a lens, which loses its phase, and in front of it.


def far_field(field):
    return np.fft.fftshift(np.fft.fft2(field, norm="ortho"))


def misfit(field, measured):
    return np.mean((np.abs(far_field(field)) - measured) ** 2)


def test_phase_retrieval():
    rng = np.random.default_rng(2)
    support = np.zeros((12, 12))
    support[:6, :6] = 1
    truth = support * (rng.uniform(0.5, 1, (12, 12)) + 0.5j * rng.uniform(-1, 1, (12, 12)))
    measured = np.abs(far_field(truth))
    field = support * (1 + 0.1j * rng.standard_normal((12, 12)))
    gd.check_grads(misfit, field[:3, :3], measured[:3, :3])
    start = misfit(field, measured)
    opt = gd.Adam(field, lr=0.05)
    for _ in range(200):
        opt.step(gd.grad(lambda z: misfit(support * z, measured))(field))
    assert misfit(support * field, measured) < start / 100


def test_a_signal_is_cleaned_by_its_spectrum():
    t = np.arange(64)
    noisy = np.sin(0.3 * t) + 0.3 * np.random.default_rng(3).standard_normal(64)

    def loss(x):
        return np.sum((x - noisy) ** 2) + 0.5 * np.sum(np.abs(np.fft.rfft(x)[12:]) ** 2)

    x = np.zeros(64)
    gd.check_grads(loss, x + 0.1)
    before = loss(x)
    opt = gd.Momentum(x, lr=0.02)
    for _ in range(300):
        opt.step(gd.grad(loss)(x))
    kept = np.fft.rfft(noisy)
    kept[12:-1] /= 1 + 0.5 * 64 / 2  # each of them stands for two frequencies of 64
    kept[-1] /= 1 + 0.5 * 64
    assert loss(x) < 0.2 * before
    np.testing.assert_allclose(np.fft.rfft(x), kept, atol=1e-4)


# Training with complex weights.


def test_fit_finds_complex_weights():
    rng = np.random.default_rng(4)
    inputs = rng.standard_normal((48, 3)) + 1j * rng.standard_normal((48, 3))
    truth = np.array([1 - 2j, 0.5j, -1.0])
    params = {"w": np.zeros(3, complex), "b": np.zeros((), complex)}

    def loss(params, x, y):
        return np.mean(np.abs(x @ params["w"] + params["b"] - y) ** 2)

    opt = gd.Adam(params, lr=0.1, average=0.9)
    history = gd.fit(gd.value_and_grad(loss), params, (inputs, inputs @ truth + 3j), opt, epochs=60, batch_size=16,
                     rng=np.random.default_rng(0), max_norm=10.0)  # fmt: skip
    assert history.records[-1]["loss"] < 1e-3
    np.testing.assert_allclose(params["w"], truth, atol=0.05)
    np.testing.assert_allclose(params["b"], 3j, atol=0.05)


def test_gradient_descent_descends_along_the_gradient():
    z = np.array([1.0 + 2.0j, -0.5j])
    gradient = gd.grad(lambda z: np.sum(np.abs(np.exp(z) - 1j) ** 2))
    for _ in range(300):
        z = z - 0.02 * gradient(z)
    np.testing.assert_allclose(np.exp(z), 1j, atol=1e-3)
