"""Certificates for one test, by the `openssl` of this machine."""

import os
import shutil
import subprocess

import pytest

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """An authority that nobody knows but by its own `certificate`."""

    def __init__(self, folder):
        self.program = shutil.which("openssl")
        if self.program is None and os.environ.get("JOBPLANE_REQUIRE_ALL") != "1":
            pytest.skip("no openssl")
        assert self.program, "no openssl"
        self.folder = folder
        folder.mkdir(parents=True)
        self.certificate, self.key = folder / "ca.crt", folder / "ca.key"
        subject = f"/CN=authority of {folder.name}"
        self._run("req", "-x509", *KEY, "-subj", subject, "-keyout", self.key, "-out", self.certificate, "-days", "2")

    def issue(self, address):
        """A certificate for a server at this address, and its key."""
        certificate, key, request = (self.folder / f"server.{kind}" for kind in ("crt", "key", "csr"))
        self._run("req", *KEY, "-subj", "/CN=server", "-keyout", key, "-out", request)
        names = self.folder / "names"
        names.write_text(f"subjectAltName=IP:{address}\nbasicConstraints=critical,CA:FALSE\n")
        by = ("-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-extfile", names, "-days", "2")
        self._run("x509", "-req", "-in", request, *by, "-out", certificate)
        return certificate, key

    def _run(self, *words):
        command = [self.program, *map(str, words)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
