"""CPU-bound: primes below N by trial division, in parts: one after the other, by threads, by a pool of processes. Arguments: N PARTS ROUNDS."""
import json
import multiprocessing
import os
import sys
import time
from multiprocessing.pool import ThreadPool


def is_prime(n):
    d = 2
    while d * d <= n:
        if n % d == 0:
            return False
        d += 1
    return n >= 2


def count_primes(part):
    return sum(1 for n in range(*part) if is_prime(n))


if __name__ == "__main__":
    count, parts, rounds = map(int, sys.argv[1:])
    step = count // parts
    work = [(i * step, (i + 1) * step) for i in range(parts)]
    workers = len(os.sched_getaffinity(0))
    with multiprocessing.Pool(workers) as processes, ThreadPool(workers) as threads:
        ways = {
            "serial": lambda: sum(map(count_primes, work)),
            "thread": lambda: sum(threads.map(count_primes, work, 1)),
            "process": lambda: sum(processes.map(count_primes, work, 1)),
        }
        said = {way: {"unit": "seconds", "values": []} for way in ways}
        processes.map(count_primes, [(0, 10)] * workers, 1)  # the workers are ready
        for _ in range(rounds):  # in turns: a machine's speed drifts
            for way, run in ways.items():
                start = time.perf_counter()
                said[way]["result"] = run()
                said[way]["values"].append(time.perf_counter() - start)
    print(json.dumps({"ways": said}))
