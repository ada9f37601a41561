from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.providers.tiktok.chunks import MAX_VIDEO_BYTES, plan_chunks

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("total_bytes", "chunk_size", "count", "last"),
    [
        (1, 1, 1, 1),
        (3_145_728, 3_145_728, 1, 3_145_728),
        (5_000_000, 5_000_000, 1, 5_000_000),
        (15_000_000, 15_000_000, 1, 15_000_000),
        (64_000_000, 64_000_000, 1, 64_000_000),
        (64_000_001, 32_000_000, 2, 32_000_001),
        (70_000_000, 32_000_000, 2, 38_000_000),
        (77_360_899, 32_000_000, 2, 45_360_899),
        (121_000_000, 32_000_000, 3, 57_000_000),
        (150_000_000, 32_000_000, 4, 54_000_000),
        (602_285_541, 32_000_000, 18, 58_285_541),
        (4 * 1024**3, 32_000_000, 134, 38_967_296),
    ],
)
def test_plan_chunks_sizes(total_bytes, chunk_size, count, last):
    plan = plan_chunks(total_bytes)

    assert (plan.chunk_size, plan.count, plan.chunk(plan.count - 1).size) == (chunk_size, count, last)


@pytest.mark.parametrize("total_bytes", [-1, 0, MAX_VIDEO_BYTES + 1])
def test_plan_chunks_refuses_sizes_that_tiktok_does_not_take(total_bytes):
    with pytest.raises(ValueError, match=str(total_bytes)):
        plan_chunks(total_bytes)


@given(st.integers(min_value=1, max_value=MAX_VIDEO_BYTES))
def test_plan_chunks_is_legal_and_covers_each_byte_once(total_bytes):
    plan = plan_chunks(total_bytes)
    chunks = plan.chunks()

    assert plan.count == total_bytes // plan.chunk_size  # TikTok's formula
    assert 1 <= plan.count <= 1000
    assert plan.chunk_size == total_bytes or 5 * MIB <= plan.chunk_size <= 64_000_000
    assert plan.count > 1 or plan.chunk_size == total_bytes <= 64_000_000
    assert chunks[-1].size <= 128_000_000
    assert chunks[0].first == 0
    assert all(after.first == before.last + 1 for before, after in pairwise(chunks))
    assert chunks[-1].last == total_bytes - 1
    assert [plan.index_at(chunk.first) for chunk in chunks] == list(range(plan.count))
