"""multiprocessing.Queue: one putter, one getter, 64 bytes an item. Prints seconds for one item."""

import multiprocessing as mp
import time

ITEMS = 100_000
SIZE = 64


def put(queue):
    item = bytes(SIZE)
    for _ in range(ITEMS):
        queue.put(item)


if __name__ == "__main__":
    queue = mp.Queue(1000)
    putter = mp.Process(target=put, args=(queue,))
    putter.start()
    assert len(queue.get()) == SIZE
    start = time.perf_counter()
    for _ in range(ITEMS - 1):
        assert len(queue.get()) == SIZE
    rate = (ITEMS - 1) / (time.perf_counter() - start)
    putter.join()
    print(1 / rate)
