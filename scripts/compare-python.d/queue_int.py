"""multiprocessing.Queue: one putter, one getter, small integers. Prints seconds for one item."""

import multiprocessing as mp
import time

ITEMS = 100_000


def put(queue):
    for item in range(ITEMS):
        queue.put(item)


if __name__ == "__main__":
    queue = mp.Queue(1000)
    putter = mp.Process(target=put, args=(queue,))
    putter.start()
    total = queue.get()
    start = time.perf_counter()
    for _ in range(ITEMS - 1):
        total += queue.get()
    rate = (ITEMS - 1) / (time.perf_counter() - start)
    putter.join()
    assert total == ITEMS * (ITEMS - 1) // 2
    print(1 / rate)
