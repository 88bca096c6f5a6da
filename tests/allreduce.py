"""What the nodes of a test run: a ring all-reduce over sockets, by the names of the hostfile.

Each node adds the numbers of all, its own being its number plus one, which is n(n+1)/2 for n nodes; a second round is
the barrier at the end. A node that still runs when the main node ends is stopped, and its log goes with its pod: who
wants to read the logs of all lets the main node go last (`GOES_LAST`).
"""

PROGRAM = r"""
import os, socket, struct, time

hosts = [line.split()[0] for line in open("/etc/batchwright/hosts")]
size, index = int(os.environ["AWS_BATCH_JOB_NUM_NODES"]), int(os.environ["AWS_BATCH_JOB_NODE_INDEX"])
main = int(os.environ["AWS_BATCH_JOB_MAIN_NODE_INDEX"])
rank = 0 if index == main else index + 1 if index < main else index
assert size == len(hosts), hosts
assert int(os.environ["RANK"]) == rank and int(os.environ["WORLD_SIZE"]) == size
address = os.environ.get("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS")
assert (address is None) == (rank == 0)
port = int(os.environ["MASTER_PORT"])
server = socket.create_server(("", port))

def connect(host):
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection((host, port), timeout=5)
        except OSError as error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)

behind = connect(hosts[(rank + 1) % size])
before, _ = server.accept()
if rank == 0:
    assert socket.gethostbyname(hosts[0]) == os.environ["MASTER_ADDR"]
else:
    assert socket.gethostbyname(hosts[0]) == address == os.environ["MASTER_ADDR"]

def receive():
    data = b""
    while len(data) < 8:
        data += before.recv(8 - len(data))
    return struct.unpack("!q", data)[0]

total = passing = index + 1
for _ in range(size - 1):
    behind.sendall(struct.pack("!q", passing))
    passing = receive()
    total += passing
print(f"node {index} of {size}: {total}", flush=True)
for _ in range(size - 1):
    behind.sendall(struct.pack("!q", 0))
    receive()
assert total == size * (size + 1) // 2
"""

# To be run after the program: the main node waits until somebody who sees all pods says that the others have ended.
OTHERS_HAVE_ENDED = "others-have-ended"
GOES_LAST = f"""
deadline = time.monotonic() + 60
while rank == 0 and not os.path.exists("/shared/{OTHERS_HAVE_ENDED}"):
    assert time.monotonic() < deadline, "nobody said that the others have ended"
    time.sleep(0.05)
"""
