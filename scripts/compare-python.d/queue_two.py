"""multiprocessing.Queue: two putters, two getters, small integers. Prints seconds for one item."""

import multiprocessing as mp
import time

ITEMS = 50_000


def put(queue, go):
    go.wait()
    for item in range(ITEMS):
        queue.put(item)


def get(queue, go, results):
    go.wait()
    results.put(sum(queue.get() for _ in range(ITEMS)))


if __name__ == "__main__":
    queue, results, go = mp.Queue(1000), mp.SimpleQueue(), mp.Barrier(5)
    children = [mp.Process(target=put, args=(queue, go)) for _ in range(2)]
    children += [mp.Process(target=get, args=(queue, go, results)) for _ in range(2)]
    for child in children:
        child.start()
    go.wait()
    start = time.perf_counter()
    total = results.get() + results.get()
    rate = 2 * ITEMS / (time.perf_counter() - start)
    for child in children:
        child.join()
    assert total == ITEMS * (ITEMS - 1)
    print(1 / rate)
