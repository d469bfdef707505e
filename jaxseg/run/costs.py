"""Time of compilation and peak memory of a run."""

import resource
import sys

import jax

GIGA = 1 << 30


class CompileTime:
    """A context that counts the seconds that XLA spends on compiling."""

    def __init__(self):
        self.seconds = 0.0

    def __enter__(self) -> "CompileTime":
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._listen)

    def _listen(self, event: str, seconds: float, **_: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            self.seconds += seconds


def peak_memory() -> str:
    """Describes the peak memory of the fullest device, or of this process if devices do not report it."""
    statistics = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [one["peak_bytes_in_use"] for one in statistics if "peak_bytes_in_use" in one]
    if peaks:
        return f"{max(peaks) / GIGA:.2f} GiB of a device's memory"
    unit = 1 if sys.platform == "darwin" else 1024
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIGA:.2f} GiB of this process's memory"
