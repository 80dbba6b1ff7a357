"""Let Ray do the work, on the machines of a cluster or on this one."""

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from helpers._validation import reason

SECONDS = 10  # for a cluster to answer


@contextmanager
def on_ray(device: torch.device) -> Iterator[Callable[..., Future]]:
    """Yield a function that submits work, as `concurrent.futures.Executor.submit` does.

    Ray connects to the cluster that RAY_ADDRESS names, as in a job that ``ray job submit`` started, or starts one on
    this machine. It runs a task whose process or machine died on another one, three times.

    Args:
        device: of the tasks; each gets a core and, if this is "cuda", a GPU.

    Raises:
        RuntimeError: Ray does not start, or its cluster does not answer.
        BrokenExecutor: Ray gave up on a task.
        Exception: what a task raised.
    """
    is_ours = not ray.is_initialized()
    if is_ours:
        _start()
    needs = ray.remote(num_cpus=1, num_gpus=int(device.type == "cuda"))
    remote: Callable[[Callable], Any] = lru_cache(needs)
    try:
        yield lambda function, *arguments: remote(function).remote(*arguments).future()
    except RayTaskError as error:
        raise error.cause from None
    except RayError as error:
        raise BrokenExecutor(reason(error)) from error
    finally:
        if is_ours:
            ray.shutdown()


def _start() -> None:
    try:
        _call(os.environ.get("RAY_ADDRESS", ""))
        ray.init(log_to_driver=False)
    except Exception as error:  # a busy machine makes Ray raise nearly anything
        ray.shutdown()
        why = reason(error).rstrip(".")
        raise RuntimeError(
            f"Expected Ray to start, or its cluster to answer; got: {why}. Look at RAY_ADDRESS, and try again."
        ) from error


def _call(address: str) -> None:
    """Fail at once if nobody listens at an address such as "10.0.0.1:6379", where Ray would wait for minutes.

    Raises:
        OSError: nobody answers.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()
