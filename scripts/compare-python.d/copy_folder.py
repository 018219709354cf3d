"""The notes' way of copying: a pool, a queue of a manager, a message for each file. Usage: copy_folder.py SRC DST"""
import multiprocessing
import os
import sys


def copy_file(queue, name, source, target):
    with open(os.path.join(source, name), "rb") as file:
        contents = file.read()
    with open(os.path.join(target, name), "wb") as file:
        file.write(contents)
    queue.put(name)


def copy_folder(pool, queue, source, target):
    os.mkdir(target)
    names = os.listdir(source)
    files = [name for name in names if not os.path.isdir(os.path.join(source, name))]
    for name in files:
        pool.apply_async(copy_file, (queue, name, source, target))
    done = 0
    while done < len(files):
        queue.get()
        done += 1
        print(f"\r{done / len(files):.2%}", end="")
    for name in set(names) - set(files):
        copy_folder(pool, queue, os.path.join(source, name), os.path.join(target, name))


if __name__ == "__main__":
    with multiprocessing.Pool() as pool, multiprocessing.Manager() as manager:
        copy_folder(pool, manager.Queue(), sys.argv[1], sys.argv[2])
