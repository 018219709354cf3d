"""Starting and joining a process with the start method `spawn`: seconds for one."""
import multiprocessing
import sys
import time


def increment(n):
    return n + 1


if __name__ == "__main__":
    count = int(sys.argv[1])
    context = multiprocessing.get_context("spawn")
    start = time.perf_counter()
    for n in range(count):
        process = context.Process(target=increment, args=(n,))
        process.start()
        process.join()
        assert process.exitcode == 0
    print((time.perf_counter() - start) / count)
