"""What requests cost at AWS, where nobody says another price: us-east-1, Standard (Amazon S3 pricing, "Requests")."""

from __future__ import annotations

USD_PER_1000_COPIES = 0.005
"""Copies, puts and listings."""

USD_PER_1000_READS = 0.0004
