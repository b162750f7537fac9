"""The batches of an epoch, and a thread that makes them ahead of an accelerator."""

import queue
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

from components.batches.loader import Batch, Collator
from components.train.sampler import Sampler

T = TypeVar("T")


def epoch_batches(
    sampler: Sampler, collate: Collator, epoch: int, first_step: int
) -> Iterator[tuple[int, list[Batch]]]:
    """(step, this rank's batches, one an accumulation step) from `first_step` to the end of the epoch."""
    order = sampler.order(epoch)
    for step in range(first_step, sampler.steps):
        yield step, [collate(rows) for rows in sampler.share(order, step)]


def in_background(source: Iterator[T], depth: int = 2) -> Iterator[T]:
    """Runs `source` in a thread, `depth` ahead, so that an accelerator need not wait for it."""
    ready: queue.Queue[tuple[bool, Any]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(entry: tuple[bool, Any]) -> None:
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for value in source:
                if stopped.is_set():
                    return
                put((True, value))
            put((False, None))
        except BaseException as error:  # noqa: BLE001 - raised again by the reader
            put((False, error))

    thread = threading.Thread(target=work, name="loader", daemon=True)
    thread.start()
    try:
        while True:
            more, value = ready.get()
            if more:
                yield value
            elif value is None:
                return
            else:
                raise value
    finally:
        stopped.set()
        thread.join()
