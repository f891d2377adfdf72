"""Several equal servers over one PostgreSQL."""

import os
import random
import signal

from server import Server


class Fleet:
    """Servers over one database. `address` is that of any that is up, another one each time it is asked for."""

    def __init__(self, folder, url, count, *flags):
        self.servers = [Server(folder / f"server-{index}", url) for index in range(count)]
        self.flags = flags
        self.up = set()
        self._chance = random.Random(count)
        for server in self.servers:
            server.folder.mkdir(parents=True, exist_ok=True)

    def start(self):
        """Starts them all at once: the first to come makes the tables."""
        for server in self.servers:
            server.begin(*self.flags)
        for server in self.servers:
            server.await_ready()
            self.up.add(server)
        return self

    @property
    def address(self):
        """Any that is up; None if none is."""
        up = list(self.up)
        return self._chance.choice(up).address if up else None

    def addresses(self):
        """All that are up."""
        return [server.address for server in self.up]

    def kill(self, server):
        """SIGKILL."""
        self.up.discard(server)
        server.kill()

    def restart(self, server):
        """Starts one that was killed, somewhere else."""
        server.start(*self.flags)
        self.up.add(server)

    def freeze(self, server):
        """SIGSTOP: it keeps its connections and says nothing."""
        self.up.discard(server)
        os.kill(server.process.pid, signal.SIGSTOP)

    def thaw(self, server):
        """SIGCONT."""
        os.kill(server.process.pid, signal.SIGCONT)
        self.up.add(server)

    def stop(self):
        """Ends those that run, in good order."""
        self.up.clear()
        for server in self.servers:
            if server.process is not None:
                os.kill(server.process.pid, signal.SIGCONT)
        for server in self.servers:
            server.stop()
