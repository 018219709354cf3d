"""One round trip of `Pool.apply`, two workers: seconds for one."""
import multiprocessing
import sys
import time


def increment(n):
    return n + 1


if __name__ == "__main__":
    count = int(sys.argv[1])
    with multiprocessing.Pool(2) as pool:
        pool.apply(increment, (0,))
        start = time.perf_counter()
        for n in range(count):
            assert pool.apply(increment, (n,)) == n + 1
        print((time.perf_counter() - start) / count)
