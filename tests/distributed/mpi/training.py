"""A run of gd.fit on the ranks of this job; rank 0 writes how it ended to a file of JSON.

Arguments: where to write, the path of a checkpoint or "-", epochs, a fault or "-".
"""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

import gdcore as gd

COMM = MPI.COMM_WORLD
RANK = COMM.Get_rank()
LAST = COMM.Get_rank() == COMM.Get_size() - 1


def value_and_grad(params, x, y):
    error = x @ params["w"] + params["b"] - y
    return np.mean(error**2), {"w": 2 * x.T @ error / len(x), "b": np.asarray(2 * error.mean())}


def main(report, checkpoint, epochs, fault):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((103, 3))
    y = x @ [1.0, -2.0, 3.0] + 0.5
    params = {"w": np.zeros(3), "b": np.zeros(())}
    opt = gd.distributed.ShardedOptimizer(gd.Adam, params, lr=0.05, check_every=10)
    calls = []

    def callback(record, params):
        calls.append(record["epoch"])
        record["mine"] = float(record["epoch"])
        if fault == "interrupt" and record["epoch"] == 3:
            os.kill(os.getpid(), signal.SIGINT)
        if fault == "callback" and record["epoch"] == 3:
            raise ZeroDivisionError("on purpose")
        return fault == "stop" and record["epoch"] == 4

    def model(params, x, y):
        if fault == "gradient" and LAST and opt.t == 7:
            raise ZeroDivisionError("on purpose")
        if fault == "nan" and LAST and opt.t == 7:
            return np.nan, value_and_grad(params, x, y)[1]
        if fault == "kill" and LAST and opt.t == 50:
            os.kill(os.getpid(), signal.SIGKILL)
        return value_and_grad(params, x, y)

    more = {} if checkpoint == "-" else {"checkpoint": checkpoint, "checkpoint_every": 0, "resume": True}
    history = gd.fit(
        model,
        params,
        (x, y),
        opt,
        epochs=epochs,
        batch_size=10,  # the last batch has 3: fewer samples than 4 ranks
        rng=np.random.default_rng(1),
        metrics={"rmse": gd.metrics.rmse(lambda p, x: x @ p["w"] + p["b"])},
        running=True,
        patience=1000,
        schedule=gd.schedules.cosine(0.05, 1000),
        callback=callback,
        comm=COMM,
        **more,
    )
    digest = hashlib.sha256(params["w"].tobytes() + params["b"].tobytes()).hexdigest()
    records = [{key: value for key, value in record.items() if key != "seconds"} for record in history.records]
    found = COMM.allgather((digest, records, history.stopped, opt.t, bool(calls)))
    assert len({json.dumps(one[:4]) for one in found}) == 1, found
    assert not any(one[4] for one in found[1:])  # rank 0 alone calls it
    if RANK == 0:
        values = {"w": params["w"].tolist(), "b": float(params["b"]), "stopped": history.stopped, "t": opt.t}
        Path(report).write_text(json.dumps({"digest": digest, "records": records, **values}), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
