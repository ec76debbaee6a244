"""Tensors of torch in a step, and torch's own programs with gdcore's optimizers in place of torch's."""

import copy
import doctest
import importlib
import pickle
import re
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rules_table

import gdcore as gd

torch = pytest.importorskip("torch")
gdtorch = importlib.import_module("gdcore.torch")
register_optimizer_step_post_hook = importlib.import_module(
    "torch.optim.optimizer"
).register_optimizer_step_post_hook

PAGE = Path(__file__).parents[1] / "docs" / "torch.md"
KINDS = list(rules_table.KINDS.values())
Opt = partial(gdtorch.Optimizer, kind=gd.AdamW, lr=0.01)


def make(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).to(dtype)


def backward(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    dtype = next(module.parameters()).dtype
    x = torch.randn(5, 3, generator=generator).to(dtype)
    loss = module(x).square().sum() - module(x).sum()
    loss.backward()
    return loss


def train(module, opt, steps, start=0):
    for step in range(start, start + steps):
        opt.zero_grad()
        backward(module, step)
        opt.step()


def values(module):
    return [param.detach().clone() for param in module.parameters()]


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(values(a), values(b), strict=True))


# Tensors in a step of gdcore's own optimizers.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tensor_is_the_gradient_that_its_array_is(dtype):
    grad = torch.arange(6, dtype=dtype).reshape(3, 2).T
    w, v = np.ones((2, 3), grad.numpy().dtype), np.ones((2, 3), grad.numpy().dtype)
    gd.Adam({"w": w}, lr=0.1).step({"w": grad.requires_grad_()})
    gd.Adam({"w": v}, lr=0.1).step({"w": grad.detach().numpy()})
    assert w.tobytes() == v.tobytes()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_tensor_in_half_precision_is_the_same_gradient_in_single(dtype):
    grad = torch.tensor([1.5, -3.0, 0.1]).to(dtype)
    w, v = np.ones(3, np.float32), np.ones(3, np.float32)
    gd.Adam(w, lr=0.1).step(grad)
    gd.Adam(v, lr=0.1).step(grad.float().numpy())
    assert w.tobytes() == v.tobytes()


def test_a_tensor_is_stepped_in_place_and_torch_notices():
    param, other = torch.ones(3, requires_grad=True), torch.ones(2)
    before, version, still = param.data_ptr(), param._version, other._version
    out = param.square().sum()
    opt = gd.SGD({"w": param, "b": [other]}, lr=0.5)
    opt.step({"w": torch.ones(3), "b": [None]})
    assert param.tolist() == [0.5] * 3
    assert param.data_ptr() == before
    assert param._version > version
    assert other._version == still
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


def test_a_bfloat16_tensor_is_stepped_with_a_master():
    param = torch.ones(3, dtype=torch.bfloat16)
    opt = gd.SGD(param, lr=0.001, master=True)
    for _ in range(10):
        opt.step(torch.ones(3, dtype=torch.bfloat16))
    assert param.tolist() == torch.full((3,), 0.99).bfloat16().tolist()


def test_zeroed_gradients_are_new_versions():
    grad = torch.ones(3)
    version = grad._version
    gd.SGD(np.ones(3, np.float32), lr=1.0).step(grad, zero=True)
    assert grad.tolist() == [0, 0, 0]
    assert grad._version > version


def test_averages_come_and_go_in_the_memory_of_a_tensor():
    param = torch.zeros(2)
    opt = gd.SGD(param, lr=1.0, average=0.5)
    opt.step(torch.ones(2))
    version = param._version
    with opt.averaged():
        assert param.tolist() == [-0.5, -0.5]
        assert param._version > version
        version = param._version
    assert param.tolist() == [-1, -1]
    assert param._version > version


def test_a_copied_optimizer_steps_its_own_tensors():
    param = torch.zeros(2, requires_grad=True)
    opt = gd.Adam({"w": param}, lr=1.0)
    opt.step({"w": torch.ones(2)})
    both = copy.deepcopy((param, opt))
    both[1].step({"w": torch.ones(2)})
    opt.step({"w": torch.ones(2)})
    assert both[0] is not param
    assert torch.equal(both[0], param)


@pytest.mark.parametrize(
    ("grad", "said"),
    [
        (torch.ones(2).to_sparse(), r"grads\['w'\]: expected a strided tensor, got one of torch.sparse_coo"),
        (torch.ones(2, device="meta"), r"grads\['w'\]: expected a tensor on the CPU, got one on meta"),
        (torch._neg_view(torch.ones(2)), r"grads\['w'\]: .* negative bit"),
        (torch.ones(2, dtype=torch.float64), r"grads\['w'\]: expected float32 \(2,\), got float64 \(2,\)"),
        (torch.ones(2, dtype=torch.int64), r"grads\['w'\]: expected float32 \(2,\), got int64 \(2,\)"),
        (torch.ones(2, dtype=torch.complex64), r"grads\['w'\]: expected float32 \(2,\), got complex64 \(2,\)"),
        (torch.ones(2).to(torch.float8_e4m3fn), r"grads\['w'\]: .*Float8"),
    ],
)
def test_a_tensor_that_is_no_gradient_is_refused_by_name(grad, said):
    w = np.ones(2, np.float32)
    opt = gd.SGD({"a": np.ones(2, np.float32), "w": w}, lr=1.0)
    with pytest.raises(TypeError, match=said):
        opt.step({"a": torch.ones(2), "w": grad})
    assert opt.t == 0
    assert w.tolist() == [1, 1]


def test_a_gradient_in_the_parameters_memory_is_refused():
    param = torch.ones(3)
    with pytest.raises(ValueError, match=r"overlap|share"):
        gd.SGD(param, lr=1.0).step(param.detach())


@pytest.mark.parametrize(
    ("param", "error", "said"),
    [
        (torch.ones(2).to_sparse(), TypeError, "strided"),
        (torch.ones(2, device="meta"), TypeError, "on the CPU, got one on meta"),
        (torch.ones(2, requires_grad=True) * 2, ValueError, "leaf"),
        (torch.ones(1).expand(3), ValueError, "share no memory"),
        (torch.ones(2, dtype=torch.int32), TypeError, "float32 or float64, got int32"),
        (torch.ones(2, dtype=torch.bfloat16), TypeError, "master=True"),
    ],
)
def test_a_tensor_that_cannot_be_stepped_is_refused_by_name(param, error, said):
    for call in (lambda: gd.SGD({"w": param}, lr=1.0), lambda: Opt([param])):
        with pytest.raises(error, match=f"params.*{said}|{said}"):
            call()


def test_a_tensor_put_in_the_place_of_another_is_noticed():
    params = {"w": torch.ones(2)}
    opt = gd.SGD(params, lr=1.0)
    params["w"] = torch.ones(2)
    with pytest.raises(ValueError, match=r"params\['w'\]: expected the array that the optimizer was made for"):
        opt.step({"w": torch.ones(2)})


# gdcore.torch.Optimizer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_module_is_stepped_as_its_arrays_are(kind, dtype):
    module, other = make(dtype=dtype), make(dtype=dtype)
    opt = gdtorch.Optimizer(module.parameters(), kind, lr=0.01)
    arrays = [param.detach().numpy() for param in other.parameters()]
    own = kind(arrays, lr=0.01)
    for step in range(3):
        opt.zero_grad()
        backward(module, step)
        opt.step()
        other.zero_grad()
        backward(other, step)
        own.step([param.grad.numpy() for param in other.parameters()])
    assert equal(module, other)


@pytest.mark.parametrize(
    ("kind", "options", "theirs"),
    [
        (rules_table.KINDS["AdamW"], {}, torch.optim.AdamW),
        (rules_table.KINDS["Adam"], {"l2": 0.1}, partial(torch.optim.Adam, weight_decay=0.1)),
        (rules_table.KINDS["NAdam"], {}, torch.optim.NAdam),
        (rules_table.KINDS["Adagrad"], {}, torch.optim.Adagrad),
        (rules_table.KINDS["SGD"], {}, torch.optim.SGD),
        (
            rules_table.KINDS["Momentum"],
            {"dampening": 0.0, "nesterov": True},
            partial(torch.optim.SGD, momentum=0.9, nesterov=True),
        ),
        (rules_table.KINDS["RMSProp"], {"beta": 0.99}, torch.optim.RMSprop),
    ],
)
def test_a_training_is_torchs_to_rounding(kind, options, theirs):
    module, other = make(dtype=torch.float64), make(dtype=torch.float64)
    train(module, gdtorch.Optimizer(module.parameters(), kind, lr=0.01, **options), 20)
    train(other, theirs(other.parameters(), lr=0.01), 20)  # NAdam of torch rounds a product to float32
    for a, b in zip(values(module), values(other), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("several", [False, True])
def test_complex_parameters_are_stepped_as_torch_steps_them(several):
    ends = []
    for kind in (partial(Opt, max_norm=0.5), partial(torch.optim.AdamW, lr=0.01)):
        w = torch.nn.Parameter(torch.tensor([1 + 2j, -3j], dtype=torch.complex128))
        b = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
        opt = kind([{"params": [w]}, {"params": [b]}] if several else [w, b])
        for _ in range(3):
            opt.zero_grad()
            ((w * w.conj()).real * b).sum().backward()
            if kind.func is torch.optim.AdamW:
                norm = torch.nn.utils.clip_grad_norm_([w, b], 0.5)
            opt.step()
        ends.append(
            (w.detach(), b.detach(), torch.as_tensor(opt.norm if kind.func is not torch.optim.AdamW else norm))
        )
    for ours, theirs in zip(*ends, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6, check_dtype=False)


def test_the_norm_of_groups_in_half_precision_is_that_of_all():
    module, other = make(dtype=torch.bfloat16), make(dtype=torch.bfloat16)
    groups = [{"params": module[0].parameters()}, {"params": module[2].parameters()}]
    ours, theirs = Opt(groups, master=True, max_norm=0.1), Opt(other.parameters(), master=True, max_norm=0.1)
    for m, opt in ((module, ours), (other, theirs)):
        backward(m)
        opt.step()
    assert ours.norm == pytest.approx(theirs.norm, rel=1e-6)
    assert all(torch.allclose(a, b, rtol=1e-2) for a, b in zip(values(module), values(other), strict=True))


def test_half_precision_has_masters_in_the_state():
    module = make(dtype=torch.bfloat16)
    opt = Opt(module.parameters(), master=True)
    train(module, opt, 2)
    for param in module.parameters():
        assert torch.equal(opt.state[param]["master"].bfloat16(), param.detach())


def test_a_step_is_a_new_version_of_what_it_writes():
    module = make()
    opt = Opt(module.parameters())
    backward(module)
    module[0].bias.grad = None
    before = [param._version for param in module.parameters()]
    opt.step()
    after = [param._version for param in module.parameters()]
    assert [b > a for a, b in zip(before, after, strict=True)] == [True, False, True, True]


def test_a_parameter_without_a_gradient_stays_as_it_is():
    module = make()
    opt = Opt(module.parameters())
    backward(module)
    module[0].weight.grad = None
    kept = module[0].weight.detach().clone()
    opt.step()
    assert torch.equal(module[0].weight, kept)
    assert opt.state[module[0].weight]["m"].eq(0).all()
    opt.zero_grad()
    opt.step()
    assert opt.state_dict()["state"][0]["step"] == 1  # none had a gradient


def test_gradients_of_any_layout_are_read_as_they_are():
    for layout in (lambda g: g.T.contiguous().T, lambda g: torch.stack([g, g], -1)[..., 0], torch._neg_view):
        module, other = make(), make()
        for each in (module, other):
            backward(each)
        weight = module[0].weight
        weight.grad = layout(weight.grad)
        other[0].weight.grad = weight.grad.resolve_neg().contiguous()
        Opt(module.parameters()).step()
        Opt(other.parameters()).step()
        assert equal(module, other)


def test_channels_last_parameters_are_stepped():
    torch.manual_seed(0)
    ours = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    theirs = copy.deepcopy(ours)
    for module, opt in ((ours, Opt(ours.parameters())), (theirs, torch.optim.AdamW(theirs.parameters(), lr=0.01))):
        module(torch.ones(1, 3, 8, 8).to(memory_format=torch.channels_last)).square().sum().backward()
        opt.step()
    for a, b in zip(values(ours), values(theirs), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_resume_equals_uninterrupted(kind, tmp_path):
    whole, first = make(), make()
    opt = gdtorch.Optimizer(whole.parameters(), kind, lr=0.01)
    train(whole, opt, 6)
    begun = gdtorch.Optimizer(first.parameters(), kind, lr=0.01)
    train(first, begun, 3)
    torch.save({"module": first.state_dict(), "opt": begun.state_dict()}, tmp_path / "saved.pt")
    saved = torch.load(tmp_path / "saved.pt")
    second = make(1)
    second.load_state_dict(saved["module"])
    resumed = gdtorch.Optimizer(second.parameters(), kind, lr=0.5)
    resumed.load_state_dict(saved["opt"])
    train(second, resumed, 3, start=3)
    assert equal(whole, second)
    assert resumed.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize("through", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_a_copy_goes_on_as_the_original(through):
    module = make()
    opt = Opt([{"params": module[0].parameters()}, {"params": module[2].parameters(), "lr": 0.1}], max_norm=1.0)
    train(module, opt, 2)
    other, copied = through((module, opt))
    train(module, opt, 2, start=2)
    train(other, copied, 2, start=2)
    assert equal(module, other)
    assert not any(a is b for a in module.parameters() for b in other.parameters())


def test_schedulers_and_groups_are_read_at_each_step():
    module, other = make(dtype=torch.float64), make(dtype=torch.float64)
    groups = [
        [{"params": m[0].parameters(), "weight_decay": 0.5}, {"params": m[2].parameters(), "lr": 0.1}]
        for m in (module, other)
    ]
    ours, theirs = Opt(groups[0]), torch.optim.AdamW(groups[1], lr=0.01)
    for m, opt in ((module, ours), (other, theirs)):
        schedule = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=[0.1, 0.2], total_steps=8)
        for step in range(6):
            train(m, opt, 1, start=step)
            schedule.step()
        opt.param_groups[1]["eps"] = 0.1
        train(m, opt, 1)
    for a, b in zip(values(module), values(other), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert ours.param_groups[0]["betas"] == theirs.param_groups[0]["betas"]


def test_a_group_added_later_counts_from_its_own_first_step():
    module, other = make(dtype=torch.float64), make(dtype=torch.float64)
    for m, kind in ((module, Opt), (other, partial(torch.optim.AdamW, lr=0.01))):
        opt = kind(m[0].parameters())
        train(m, opt, 3)
        opt.add_param_group({"params": m[2].parameters(), "lr": 0.1})
        train(m, opt, 3)
    for a, b in zip(values(module), values(other), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_a_group_that_is_refused_is_not_there():
    module = make()
    opt = Opt(module[0].parameters())
    for group in ({"lr": -1.0}, {"betas": (2.0, 0.9)}, {"maximize": True}):
        with pytest.raises((TypeError, ValueError)):
            opt.add_param_group({"params": module[2].parameters(), **group})
    assert len(opt.param_groups) == 1
    train(module, opt, 1)


def test_all_groups_are_stepped_or_none():
    module = make()
    opt = Opt([{"params": module[0].parameters()}, {"params": module[2].parameters()}])
    backward(module)
    module[2].bias.grad = module[2].bias.grad.to_sparse()
    before = values(module)
    with pytest.raises(TypeError, match="sparse"):
        opt.step()
    module[2].bias.grad = None
    opt.param_groups[1]["lr"] = -1.0
    with pytest.raises(ValueError, match="lr"):
        opt.step()
    assert all(torch.equal(a, b) for a, b in zip(before, values(module), strict=True))


@pytest.mark.parametrize("several", [False, True])
def test_max_norm_is_clip_grad_norm(several):
    module, other = make(dtype=torch.float64), make(dtype=torch.float64)

    def groups(m):
        return [{"params": m[0].parameters()}, {"params": m[2].parameters()}] if several else m.parameters()

    limited, plain = gdtorch.Optimizer(groups(module), gd.SGD, lr=0.1, max_norm=0.5), None
    plain = gdtorch.Optimizer(groups(other), gd.SGD, lr=0.1)
    for step in range(3):
        for m in (module, other):
            m.zero_grad()
            backward(m, step)
        limited.step()
        found = torch.nn.utils.clip_grad_norm_(other.parameters(), 0.5)
        plain.step()
        assert limited.norm == pytest.approx(found.item())
    for a, b in zip(values(module), values(other), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    module[0].weight.grad.fill_(float("nan"))
    before = values(module)
    with pytest.raises(FloatingPointError):
        limited.step()
    assert all(torch.equal(a, b) for a, b in zip(before, values(module), strict=True))


def test_hooks_closures_and_the_profiler_see_a_step():
    module = make()
    opt = Opt(module.parameters())
    called = []
    handles = [
        opt.register_step_pre_hook(lambda *_: called.append("pre")),
        opt.register_step_post_hook(lambda *_: called.append("post")),
        register_optimizer_step_post_hook(lambda *_: called.append("all")),
    ]
    loss = opt.step(lambda: backward(module))
    assert called == ["pre", "post", "all"]
    assert loss.item() == backward(make()).item()
    for handle in handles:
        handle.remove()
    opt.step()
    assert len(called) == 3
    opt.register_state_dict_post_hook(lambda opt, saved: {**saved, "note": 1})
    opt.register_load_state_dict_pre_hook(lambda opt, saved: called.append(saved["note"]))
    opt.load_state_dict(opt.state_dict())
    assert called[3:] == [1]


def test_steps_follow_parameters_to_other_memory():
    module, other = make(), make()
    ours, theirs = Opt(module.parameters()), Opt(other.parameters())
    for step in range(3):
        train(module, ours, 1, start=step)
        train(other, theirs, 1, start=step)
        for param in module.parameters():
            param.data = param.data.clone()
    assert equal(module, other)
    module[0].weight.data = module[0].weight.data.double()
    with pytest.raises((TypeError, ValueError), match="float"):
        ours.step()


def test_a_step_keeps_no_gradient():
    module = make()
    opt = Opt(module.parameters())
    backward(module)
    grad = weakref.ref(module[0].weight.grad)
    opt.step()
    opt.zero_grad()
    assert grad() is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda saved: saved["param_groups"].append(saved["param_groups"][0]), "groups"),
        (lambda saved: saved["param_groups"][0]["params"].pop(), "groups"),
        (lambda saved: saved["param_groups"][0].update(lr=-1.0), "lr"),
        (lambda saved: saved["param_groups"][0].pop("eps"), "eps"),
        (lambda saved: saved["state"].clear(), "step"),
        (lambda saved: saved["state"][1].update(step=7), "step"),
        (lambda saved: saved["state"][1].pop("m"), "'m'"),
        (lambda saved: saved["state"][1].update(m=torch.zeros(9)), "'m'"),
    ],
)
def test_a_state_that_is_not_its_own_changes_nothing(change, said):
    module = make()
    opt = Opt(module.parameters())
    train(module, opt, 2)
    before = copy.deepcopy(opt.state_dict())
    wrong = copy.deepcopy(before)
    wrong["param_groups"][0]["lr"] = 0.5
    change(wrong)
    with pytest.raises(ValueError, match=said):
        opt.load_state_dict(wrong)
    now = opt.state_dict()
    assert now["param_groups"] == before["param_groups"]
    for key, slots in before["state"].items():
        assert all(
            torch.equal(torch.as_tensor(x), torch.as_tensor(now["state"][key][slot])) for slot, x in slots.items()
        )


def test_a_state_of_torchs_own_is_refused():
    module = make()
    theirs = torch.optim.AdamW(module.parameters())
    train(module, theirs, 1)
    with pytest.raises(ValueError, match="state_dict"):
        Opt(module.parameters()).load_state_dict(theirs.state_dict())


@pytest.mark.parametrize("name", ["maximize", "fused", "foreach", "capturable", "differentiable", "momentun"])
def test_arguments_of_torchs_own_are_refused_by_name(name):
    with pytest.raises(TypeError, match=name):
        Opt(make().parameters(), **{name: True})


def test_what_is_no_optimizer_class_is_refused():
    for kind in (torch.optim.AdamW, "adam", gd.AdamW(np.ones(2))):
        with pytest.raises(TypeError, match="kind"):
            gdtorch.Optimizer(make().parameters(), kind)


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    blocks = re.findall(r"^```py\n# torch\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        exec(compile(block, "torch.md", "exec"), namespace)


def test_the_example_of_the_docstring_runs():
    test = doctest.DocTestParser().get_doctest(gdtorch.Optimizer.__doc__, {}, "Optimizer", None, 0)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_fit_takes_the_loss_and_the_gradients_of_torch():
    x, y = np.random.default_rng(0).standard_normal((2, 40, 1))
    w = np.zeros((1, 1))

    def value_and_grad(w, x, y):
        w = torch.from_numpy(w).requires_grad_()
        loss = (torch.from_numpy(x) @ w - torch.from_numpy(y)).square().mean()
        return loss, torch.autograd.grad(loss, w)[0]

    history = gd.fit(value_and_grad, w, (x, y), gd.SGD(w, lr=0.1), epochs=100)
    assert history[-1]["loss"] < history[0]["loss"]
    np.testing.assert_allclose(w, np.linalg.lstsq(x, y)[0], rtol=1e-3)
    with pytest.raises(TypeError, match="expected a loss that is one real number, got Tensor"):
        gd.fit(lambda *_: (torch.ones(1), w), w, (x, y), gd.SGD(w, lr=0.1), epochs=1)
