"""Links between devices: CXL over PCIe lanes, as CENT counts them (exact in its columns).

    x(F) = latency + 256 F bytes / (lane rate * lanes),   F(n) = ceil(2 n / 192)

F flits of 256 bytes carry 96 words of 16 bits each. Pipeline: a block hands its input on once. Tensor parallel over D
devices: a linear layer's input goes to all of them, and D - 1 of them send their share of the output back.
"""

from __future__ import annotations

from dataclasses import dataclass

FLIT_BYTES, PAYLOAD_BYTES, WORD_BYTES = 256, 192, 2


@dataclass(frozen=True, slots=True)
class Links:
    """Links of one device.

    Attributes:
        parallel: ``none``, ``pipeline`` or ``tensor``.
        devices: D.
        lanes: Of one device.
        lane_bytes_s: Of one lane, bytes a second.
        latency_s: Of one transfer.
        clock_hz: In whose cycles times are.
        bit_pj: Energy of one bit.
    """

    parallel: str
    devices: int
    lanes: int
    lane_bytes_s: float
    latency_s: float
    clock_hz: float
    bit_pj: float

    def transfer(self, flits: int) -> float:
        """Cycles of one transfer, x(F)."""
        return (self.latency_s + FLIT_BYTES * flits / (self.lane_bytes_s * self.lanes)) * self.clock_hz

    def flits(self, words: int) -> int:
        """F(n)."""
        return -(-WORD_BYTES * words // PAYLOAD_BYTES)

    def hop(self, words: int) -> float:
        """Pipeline: a block's input from the device before."""
        return self.transfer(self.flits(words)) if self.parallel == "pipeline" else 0.0

    def broadcast(self, words: int) -> float:
        """Tensor: an input to all devices."""
        return self.transfer(self.flits(words)) if self.parallel == "tensor" else 0.0

    def gather(self, words: int) -> float:
        """Tensor: the shares of D - 1 devices, ``x((D-1) F(n/D))``."""
        if self.parallel != "tensor":
            return 0.0
        return self.transfer((self.devices - 1) * self.flits(-(-words // self.devices)))
