"""A TCP proxy that loses what it is told to lose."""

import socket
import struct
import threading


class Proxy:
    """Stands before a server. `deafen()` swallows the server's answers, `cut()` resets the connections, `freeze()` lets
    those there are now die without a word."""

    def __init__(self, address):
        self.lead_to(address)
        self._deaf = False
        self._frozen = set()
        self._lock = threading.Lock()
        self._sockets = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, address):
        """New connections go to this server, which may have been started again somewhere else."""
        host, port = address.rsplit(":", 1)
        self._target = (host, int(port))

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                # Nobody is there for now.
                client.close()
                continue
            with self._lock:
                self._sockets += [client, server]
            for pair in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source, sink, is_answer):
        try:
            while data := source.recv(65536):
                if not (is_answer and self._deaf) and source not in self._frozen:
                    sink.sendall(data)
            if source in self._frozen:
                return
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def deafen(self):
        """From now on the server's answers are read and thrown away."""
        self._deaf = True

    def freeze(self):
        """Nothing passes any more on the connections there are now, and neither end hears of it; new ones are good."""
        with self._lock:
            self._frozen.update(self._sockets)

    def cut(self):
        """Resets every connection; new ones are good again."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for each in sockets:
            # No linger: the peer sees a reset, as after a crash, and not an orderly end.
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            try:
                each.shutdown(socket.SHUT_RD)
            except OSError:
                pass
            each.close()
        self._deaf = False

    def close(self):
        """Ends the proxy."""
        self._listener.close()
        self.cut()
