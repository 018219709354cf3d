"""A `Manager().Queue()` handed to the tasks of a pool of two, which put; the parent gets: seconds for one item."""
import multiprocessing
import sys
import time


def put(arguments):
    queue, count = arguments
    for n in range(count):
        queue.put(n)


if __name__ == "__main__":
    count = int(sys.argv[1])
    with multiprocessing.Manager() as manager, multiprocessing.Pool(2) as pool:
        queue = manager.Queue()
        pool.map(put, [(queue, 1)] * 2, 1)
        queue.get(), queue.get()
        start = time.perf_counter()
        result = pool.map_async(put, [(queue, count // 2)] * 2, 1)
        total = sum(queue.get() for _ in range(count // 2 * 2))
        result.get()
        assert total == count // 2 * (count // 2 - 1)
        print((time.perf_counter() - start) / count)
