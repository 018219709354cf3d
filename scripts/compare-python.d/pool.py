"""Tasks that do nothing: a process each, a pool asked for one after the other, a pool asked for all. Seconds for one. Arguments: ROUNDS."""
import json
import multiprocessing
import sys
import time

EACH = 20


def same(n):
    return n


def process_each(_, count):
    for n in range(count):
        child = multiprocessing.Process(target=sys.exit, args=(n,))
        child.start()
        child.join()
        assert child.exitcode == n
    return sum(range(EACH))


def apply(pool, count):
    return sum(pool.apply(same, (n % EACH,)) for n in range(count)) // (count // EACH)


def pool_map(pool, count):
    return sum(pool.map(same, [n % EACH for n in range(count)])) // (count // EACH)


if __name__ == "__main__":
    rounds = int(sys.argv[1])
    ways = {"process_each": (process_each, EACH), "apply": (apply, EACH * 50), "map": (pool_map, EACH * 500)}
    said = {way: {"unit": "seconds", "values": []} for way in ways}
    with multiprocessing.Pool(2) as pool:
        pool.map(same, range(100))  # the workers are ready
        for _ in range(rounds):
            for way, (run, count) in ways.items():
                start = time.perf_counter()
                said[way]["result"] = run(pool, count)
                said[way]["values"].append((time.perf_counter() - start) / count)
    print(json.dumps({"ways": said}))
