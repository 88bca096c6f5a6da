"""Adds what all ranks have, in arrays: by one Allreduce, and by handing it on from rank to rank in a ring."""

import socket
import sys
from array import array

from mpi4py import MPI

world = MPI.COMM_WORLD
rank, size = world.Get_rank(), world.Get_size()
length = int(sys.argv[1])
own = array("d", [rank + 1]) * length

reduced = array("d", [0]) * length
world.Allreduce(own, reduced, op=MPI.SUM)

passing, round_the_ring = own, rank + 1
for _ in range(size - 1):
    received = array("d", [0]) * length
    world.Sendrecv(passing, (rank + 1) % size, recvbuf=received, source=(rank - 1) % size)
    passing, round_the_ring = received, round_the_ring + int(received[-1])

assert reduced == array("d", [size * (size + 1) // 2]) * length, reduced[:8]
assert round_the_ring == size * (size + 1) // 2, round_the_ring
print(f"rank {rank} of {size} on {socket.gethostname()}: {round_the_ring}", flush=True)
