"""gevent: a thousand tasks that give way to each other. Prints seconds for one turn; ends with 3 if gevent is not installed. Arguments: how many turns in all."""
import sys
import time

try:
    import gevent
except ImportError:
    sys.exit(3)

TASKS = 1000

if __name__ == "__main__":
    rounds = int(sys.argv[1]) // TASKS
    turns = 0

    def task():
        global turns
        for _ in range(rounds):
            gevent.sleep(0)
            turns += 1

    start = time.perf_counter()
    gevent.joinall([gevent.spawn(task) for _ in range(TASKS)])
    took = time.perf_counter() - start
    assert turns == rounds * TASKS
    print(took / turns)
