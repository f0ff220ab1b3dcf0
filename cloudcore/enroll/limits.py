"""How many failed enrolments one address may cause. Pure: times are arguments."""

import collections
import dataclasses


@dataclasses.dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class FailureLimit:
    """*burst* failures at once and one more every *refill* seconds, for each of the last *peers* addresses."""

    def __init__(self, burst: int = 10, refill: float = 6.0, peers: int = 4096) -> None:
        self._burst, self._refill, self._peers = burst, refill, peers
        self._buckets: collections.OrderedDict[str, _Bucket] = collections.OrderedDict()

    def exhausted(self, peer: str, now: float) -> bool:
        """Whether *peer* must wait before it is listened to again."""
        bucket = self._buckets.get(peer)
        return bucket is not None and self._left(bucket, now) < 1

    def failed(self, peer: str, now: float) -> None:
        """Count a failure of *peer*."""
        bucket = self._buckets.pop(peer, None) or _Bucket(self._burst, now)
        self._buckets[peer] = _Bucket(max(0.0, self._left(bucket, now) - 1), now)
        if len(self._buckets) > self._peers:
            self._buckets.popitem(last=False)

    def _left(self, bucket: _Bucket, now: float) -> float:
        return min(float(self._burst), bucket.left + (now - bucket.at) / self._refill)
