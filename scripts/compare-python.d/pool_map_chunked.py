"""`Pool.map` of a function that does nothing, chunks as Python chooses them, two workers: seconds for one task."""
import multiprocessing
import sys
import time


def nothing(n):
    pass


if __name__ == "__main__":
    count = int(sys.argv[1])
    with multiprocessing.Pool(2) as pool:
        pool.map(nothing, range(100))
        start = time.perf_counter()
        assert len(pool.map(nothing, range(count))) == count
        print((time.perf_counter() - start) / count)
