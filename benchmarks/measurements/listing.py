"""What listing costs, and what it gains by ranges."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listing:
    """CPU time a key, ours and boto3's; keys a second with one range and with eight. 0 is: not measured."""

    cpu_us_per_key: float = 0.0
    boto3_cpu_us_per_key: float = 0.0
    latency_ms: int = 0
    one_range_keys_per_second: float = 0.0
    eight_ranges_keys_per_second: float = 0.0

    @property
    def cpu_ratio(self) -> float:
        """How many times our CPU time boto3 takes."""
        return self.boto3_cpu_us_per_key / self.cpu_us_per_key if self.cpu_us_per_key else 0.0

    @property
    def ranges_ratio(self) -> float:
        """How many times faster eight ranges are than one."""
        one = self.one_range_keys_per_second
        return self.eight_ranges_keys_per_second / one if one else 0.0
