"""Runs a batch pipeline ahead of its consumer, in threads or in worker processes, and never hangs."""

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor, wait

import grain
import numpy as np
from absl import flags

from jaxseg.data.workers import begin_work, starting_workers
from jaxseg.types import AnyBatch

TIMEOUT = 300.0  # seconds; a working pipeline never takes this long for one batch
THREADS = 4  # where threads of this process prepare the batches
AHEAD = 4  # batches that threads keep ready
AHEAD_EACH = 2  # batches that each process keeps ready, in shared memory


class BatchStream:
    """An iterator over the batches of a grain dataset, which are prepared in the background, in order.

    Close it, or use it in a ``with`` statement: this ends the workers.

    Args:
      batches: the dataset, with random access by step.
      workers: how many processes prepare batches; 0 uses threads of this process.
      timeout: seconds to wait for one batch before giving up.

    Raises:
      ValueError: an error of the pipeline itself, in any process; when the next batch is asked for.
      RuntimeError: a worker has died or does not answer.
    """

    def __init__(self, batches: grain.MapDataset, *, workers: int, timeout: float = TIMEOUT):
        if workers < 0:
            raise ValueError(f"config.data.workers is {workers}; expected 0 or more")
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # grain reads its flags, also where no absl app has parsed any
        self._timeout = timeout
        self._closed = False
        self._strangers = multiprocessing.active_children()
        self._iterator = iter(_in_background(batches, workers))
        # A separate thread waits, since grain would wait forever for a stuck worker.
        self._waiter = ThreadPoolExecutor(1, thread_name_prefix="jaxseg-batches")
        self._next = self._waiter.submit(_first if workers else _following, self._iterator)

    def __iter__(self) -> "BatchStream":
        return self

    def __next__(self) -> AnyBatch:
        if self._closed:
            raise StopIteration
        try:
            batch = self._next.result(self._timeout)
        except TimeoutError:
            self._kill_workers()
            raise RuntimeError(
                f"no batch came within {self._timeout} s: the data pipeline is stuck. "
                "With config.data.workers=0, Ctrl-C shows where"
            ) from None
        if batch is None:
            self.close()
            raise StopIteration
        self._next = self._waiter.submit(_following, self._iterator)
        return batch

    def __enter__(self) -> "BatchStream":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends workers and threads; no further batches follow."""
        if self._closed:
            return
        self._closed = True
        # In the waiter's turn: an iterator closed while it is starting its workers would leave them behind.
        closing = self._waiter.submit(self._iterator.close)
        if not wait([closing], timeout=min(self._timeout, 10)).done:
            self._kill_workers()
        self._waiter.shutdown(wait=False)

    def _kill_workers(self) -> None:
        for child in multiprocessing.active_children():
            if child not in self._strangers:
                child.kill()


def _in_background(batches: grain.MapDataset, workers: int) -> grain.IterDataset:
    if workers == 0:
        return batches.to_iter_dataset(grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=AHEAD))
    one_by_one = batches.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=1))
    # Small arrays through the pipe, large ones through shared memory.
    tuned = grain.experimental.WithOptionsIterDataset(
        one_by_one, grain.experimental.DatasetOptions(min_shm_size=1 << 14)
    )
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=AHEAD_EACH)
    return tuned.mp_prefetch(options, worker_init_fn=_start_worker)


def _following(iterator: grain.DatasetIterator) -> AnyBatch | None:
    try:
        batch = next(iterator, None)
    except RuntimeError as error:
        raise RuntimeError(
            f"{error} (A worker that dies has often run out of memory, or of shared memory, which is small in many "
            "containers; config.data.workers=0 needs none.)"
        ) from error
    # The copy frees the shared memory at once, even if the batch is kept.
    return None if batch is None else type(batch)(*(None if array is None else np.array(array) for array in batch))


def _first(iterator: grain.DatasetIterator) -> AnyBatch | None:
    """Returns the first batch. Its workers start in an environment in which they find no accelerator."""
    before = os.environ.get("JAX_PLATFORMS")
    os.environ["JAX_PLATFORMS"] = "cpu"
    try:
        with starting_workers():
            return _following(iterator)
    finally:
        if before is None:
            del os.environ["JAX_PLATFORMS"]
        else:
            os.environ["JAX_PLATFORMS"] = before


def _start_worker(index: int, count: int) -> None:
    """Prepares a worker process before its first batch."""
    del index, count
    begin_work()
