"""multiprocessing.Queue: one putter, one getter, items of so many bytes. Prints seconds for one item."""

import multiprocessing as mp
import sys
import time

SIZE = int(sys.argv[1])
ITEMS, CAPACITY = (100_000, 1000) if SIZE < 1 << 20 else (1000, 4)


def put(queue):
    item = bytes(SIZE)
    for _ in range(ITEMS):
        queue.put(item)


if __name__ == "__main__":
    queue = mp.Queue(CAPACITY)
    putter = mp.Process(target=put, args=(queue,))
    putter.start()
    assert len(queue.get()) == SIZE
    start = time.perf_counter()
    for _ in range(ITEMS - 1):
        assert len(queue.get()) == SIZE
    print((time.perf_counter() - start) / (ITEMS - 1))
    putter.join()
